"""The command tune: table, resuming, further trials, and errors before the log is read."""

import pytest

from tests.runs import options


@pytest.mark.rules("experiments-R24")
def test_trials_are_added_to_a_finished_table(cli, shop, tmp_path):
    words = ("tune", shop, "--out", tmp_path / "t", *options())
    first = cli.succeed(*words, "--trials", "2", "--markdown", tmp_path / "t.md")
    assert "run 2 of 2: mind, trial 1" in first.err
    for text in ("as given", "est trial on the test cases", "mindref train --data"):
        assert text in first.out
        assert text in (tmp_path / "t.md").read_text()
    assert f"\nbest settings: mindref train --data {shop} --preset mind " in first.out
    result = cli.json(*words, "--trials", "3")
    assert len(result["trials"]) == 3
    again = cli.succeed(*words, "--trials", "3")
    assert again.err.count("already trained") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--out: expected a folder for the runs, got none"),
        (("--out", "t", "--widht", "3"), "No such option"),
        (("--out", "t", "--preset", "mind", "--contexts", "2"), "contexts: expected 0"),
        (("--out", "t", "--model", "random"), "a setting that can be tuned, got none for random"),
        (("--out", "t", "--trials", "0"), "0 is not in the range"),
    ],
)
def test_bad_input_is_reported_before_the_log_is_read(cli, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = cli("tune", "no_such_file", *words)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "t").exists()
