"""mindref indexes: the kinds of index, and why one is unusable."""

import pytest

from tests.recall.annoy_trees import needs_annoy
from tests.recall.example_plugins import Half, install, plugin


@needs_annoy
def test_indexes_are_listed(cli):
    rows = {row["name"]: row for row in cli.json("indexes")}
    assert rows["exact"] == {"name": "exact", "usable": True, "version": None, "order": 0}
    assert rows["annoy"]["version"].startswith(("annoy 1.", "annoy-mm 1."))
    result = cli("indexes")
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == list(rows)


@pytest.mark.rules("recall-R29")
def test_an_unusable_index_has_a_reason(cli, monkeypatch):
    install(monkeypatch, missing="no_such_module:X", half=Half, late=plugin("late", 9))
    monkeypatch.setattr(Half, "broken", None)
    rows = dict(line.split(None, 1) for line in cli("indexes").out.splitlines())
    assert rows["missing"].startswith(
        "not usable: index missing: expected an answer when importing"
    )
    assert "No module named 'no_such_module'" in rows["missing"]
    assert rows["half"] == "half 1, only on request"
    assert rows["late"] == "half 1, tried by auto"
    monkeypatch.setattr(Half, "broken", "it is Monday")
    assert "half         not usable: it is Monday\n" in cli("indexes").out
