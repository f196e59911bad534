"""Worker processes import this tree, from any current folder."""

import pytest

from tests.runs import environment


@pytest.fixture(autouse=True)
def import_this_tree(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
