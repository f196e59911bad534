"""The libraries that the conformance suite needs and a plain installation lacks."""

from __future__ import annotations

import importlib.util

from mindref.errors import ConfigError, say

REQUIRED = ("hypothesis",)
INSTALL = "pip install 'mindref[conformance]'"


def require_extra() -> None:
    """Raise ConfigError unless the extra `conformance` is installed."""
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        got = f"no {', '.join(missing)}"
        raise ConfigError(say("conform", "the extra conformance", got, INSTALL))
