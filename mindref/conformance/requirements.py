"""The libraries that the conformance suite needs and a plain installation lacks."""

from __future__ import annotations

import importlib.util

from mindref.errors import ConfigError, say

REQUIRED = ("hypothesis",)
INSTALL = "pip install 'mindref[conformance]'"


def require_extra() -> None:
    """Raise ConfigError unless the extra `conformance` is installed."""
    lacking = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if lacking:
        got = f"no {', '.join(lacking)}"
        raise ConfigError(say("conform", "the extra conformance", got, INSTALL))
