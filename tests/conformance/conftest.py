"""The small suite as a fixture."""

from __future__ import annotations

import pytest

from tests.conformance import small


@pytest.fixture
def small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge by four checks of one page."""
    small.use(monkeypatch)
