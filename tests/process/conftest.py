"""Fixtures of the command line, for tests of its variables and limits."""

from tests.cli.conftest import cli

__all__ = ["cli"]
