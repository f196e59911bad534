"""Processes of the bench find this tree, wherever the tests are started."""

from __future__ import annotations

import pytest

from tests.runs import environment


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, environment()[name])
