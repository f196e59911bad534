"""The log that a run names: not needed for a history, and an invalid path raises."""

import pytest

from mindref.errors import DataError, RunError
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run.source import Source
from tests.runs import write_log
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


@pytest.mark.rules("security-R18")
def test_no_message_quotes_a_file_that_only_a_run_names(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a, secret line, of three fields\n" * 3)
    edit_json(run / "config.json", lambda words: words.update(
        source={"place": str(secret), "options": {}}))  # fmt: skip
    message = "expected the log of the run, got a file that"
    for use in (resume_run, lambda run: load(run).recommend(user="user-0001")):
        with pytest.raises(DataError, match=message) as caught:
            use(run)
        assert "secret line" not in f"{caught.value} {caught.value.__cause__}"
    with pytest.raises(DataError, match="secret line"):
        Source.of(secret).read()
    rows = [f"u{i % 3},i{i},{i}" for i in range(12)]
    path, options = write_log(secret, [*rows, "u,i,secret line"]), {"max_bad_lines": 3}
    assert "secret line" in Source.of(path, options).read().log.bad_lines[0]
    named = Source(str(path), options, is_from_run=True)
    log = named.read().log
    assert (log.bad_lines, log.hints, log.notes["bad_lines"]) == ((), (), 1)
    assert named == Source.of(path, options), "the origin is no part of a source"
