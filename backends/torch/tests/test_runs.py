"""Runs do not depend on the backend: another backend reads and resumes them."""

from __future__ import annotations

from tests.backends.runs import Runs


class TestRuns(Runs):
    name = "torch"
