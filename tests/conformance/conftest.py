"""The suite of four checks as a fixture."""

import pytest

from tests.conformance import small


@pytest.fixture
def small_suite(monkeypatch):
    """Use four checks of one page as the suite."""
    small.use(monkeypatch)
