"""Addresses of rules on the documentation site, which is built from specs/.

The environment variable MINDREF_SITE names the site: its address, or the folder of a built copy.
"""

from __future__ import annotations

import os
from pathlib import Path

from mindref.errors import ConfigError, say

SITE = "MINDREF_SITE"


def rule_address(rule: str) -> str:
    """Return the address of a rule, such as "specs/routing.html#routing-r3".

    Without MINDREF_SITE, the address is relative to the root of the site. Raises ConfigError if
    MINDREF_SITE is invalid.
    """
    page = rule.split("-R")[0]
    return f"{site_root()}specs/{page}.html#{rule.lower()}"  # conformance-R18


def site_root() -> str:
    """Return the address of the site with a final slash; "" without MINDREF_SITE."""
    root = os.environ.get(SITE, "")
    if root and "://" not in root:
        if not (Path(root) / "specs" / "index.html").is_file():
            expected = "an address such as https://docs.example.org, or a folder with the site"
            raise ConfigError(say(SITE, expected, root, "correct or unset the variable"))
        root = Path(os.path.realpath(root)).as_uri()
    return f"{root.rstrip('/')}/" if root else ""
