"""The log that a run names: not needed for a history, and an invalid path raises."""

import pytest

from mindref.errors import DataError, RunError
from mindref.recommender import load
from mindref.recommender.trainer import resume_run
from tests.security.tampering import edit_json, recall, recommend


@pytest.mark.rules("security-R14")
def test_a_history_is_answered_without_the_log(run, monkeypatch):
    before = recommend(run)
    elsewhere = {"place": "/nowhere/at/all.csv", "options": {}}
    edit_json(run / "config.json", lambda words: words.update(source=elsewhere))
    assert recommend(run) == before
    assert recall(run, "auto").warnings == []
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
def test_an_invalid_source_in_the_configuration_raises(run, source):
    edit_json(run / "config.json", lambda words: words["source"].update(source))
    for use in (load, resume_run):
        with pytest.raises(RunError, match=r"config.json: expected the configuration of a run"):
            use(run)
