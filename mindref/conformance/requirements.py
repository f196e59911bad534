"""Test that the libraries of the extra `conformance` are installed."""

from __future__ import annotations

import importlib.util

from mindref.errors import ConfigError, say
from mindref.process.requirements import install_extra

REQUIRED = ("hypothesis",)


def require_extra() -> None:
    """Raise ConfigError if the extra `conformance` is not installed."""
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        got = f"no {', '.join(missing)}"
        raise ConfigError(
            say("conform", "the extra conformance", got, install_extra("conformance"))
        )
