"""The log that a run names: a history needs none, and a place that is none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mindref.errors import DataError, RunError
from mindref.recommender import load
from mindref.recommender.bulk import recall_lists
from mindref.recommender.trainer import resume_run
from tests.damage.damaged_runs import HISTORIES
from tests.security.hands import answer, change


@pytest.mark.rules("security-R14")
def test_a_history_is_answered_without_a_look_outside(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answer(run)
    elsewhere = {"place": "/nowhere/at/all.csv", "options": {}}
    change(run / "config.json", lambda words: words.update(source=elsewhere))
    assert answer(run) == before
    assert recall_lists(run, history=HISTORIES[0]).warnings == []
    with pytest.raises(DataError, match=r"all.csv: expected .* name it with --data"):
        load(run).recommend(user="user-0001")


@pytest.mark.rules("security-R14")
@pytest.mark.parametrize(
    "source",
    [
        *({"place": x} for x in ("/a\0b", "/a\ud800b")),
        *(
            {"place": "built-in", "options": {name: x}}
            for name, x in [("foo", 1), ("users", "x"), ("users", True), ("users", 50_000_000),
                            ("seed", -1), ("item_file", 3), ("user_file", "\0"), ("columns", [])]
        ),
    ],
    ids=str,
)  # fmt: skip
def test_a_source_that_is_none_is_refused_where_it_is_read(
    run: Path, source: dict[str, Any]
) -> None:
    change(run / "config.json", lambda words: words["source"].update(source))
    for use in (load, resume_run):
        with pytest.raises(RunError, match=r"config.json: expected the configuration of a run"):
            use(run)
