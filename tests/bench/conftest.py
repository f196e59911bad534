"""Worker processes import this tree, from any current folder."""

from __future__ import annotations

import pytest

from tests.runs import environment


@pytest.fixture(autouse=True)
def import_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, environment()[name])
