"""Run directories are common property: trained by one backend, read and taken up by another."""

from __future__ import annotations

from tests.backends.runs import Runs


class TestRuns(Runs):
    name = "torch"
