"""Import the hooks of .site, and find the site that `.ci/run docs` has built."""

import sys
from pathlib import Path

import pytest

from tests import browser as browser_module

REPOSITORY = Path(__file__).parents[2]
HOOKS = REPOSITORY / ".site" / "hooks"
BUILT = REPOSITORY / ".site" / "built"
sys.path.append(str(HOOKS))

browser = browser_module.browser


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site; without it, conftest.py deselects the test."""
    return BUILT
