"""The libraries that judging takes and that a plain installation lacks."""

from __future__ import annotations

import importlib.util

from mindref.errors import ConfigError, say

NEEDED = ("hypothesis",)
TODO = "pip install 'mindref[conformance]'"


def check() -> None:
    """Raise ConfigError unless the extra `conformance` is installed."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        got = f"no {', '.join(lacking)}"
        raise ConfigError(say("conform", "the extra conformance", got, TODO))
