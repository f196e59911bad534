"""The suite of four checks as a fixture."""

from __future__ import annotations

import pytest

from tests.conformance import small


@pytest.fixture
def small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use four checks of one page as the suite."""
    small.use(monkeypatch)
