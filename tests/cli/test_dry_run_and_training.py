"""mindref train --dry-run compared with the training: files, checks and warnings are equal."""

import pytest

from tests.runs import options

SMALL_OPTIONS = options(backend="numpy")


@pytest.mark.rules("faults-R21")
@pytest.mark.parametrize("model", ["mind", "wals", "popularity"])
def test_the_files_of_the_plan_are_those_of_the_training(cli, shop, tmp_path, model):
    words = ["train", "--data", shop, "--out", tmp_path / "run", "--model", model]
    words += SMALL_OPTIONS if model == "mind" else []
    planned = cli.json(*words, "--dry-run")["write"]["files"]
    cli.succeed(*words)
    written = (path.name for path in (tmp_path / "run").iterdir() if path.suffix != ".lock")
    assert planned == sorted(name for name in written if name != ".lock")


@pytest.mark.rules("faults-R21")
def test_the_place_and_the_start_are_checked_as_in_a_training(cli, shop, trained_run, tmp_path):
    words = ["train", "--data", shop, "--dry-run"]
    line = cli.error_line(*words, *SMALL_OPTIONS, "--out", shop / "run")
    assert "--out: expected a writable location" in line
    result = cli.succeed(*words, "--start-from", trained_run)
    assert f"start: from the parameters of {trained_run}" in result.out.splitlines()
    other = tmp_path / "other.csv"
    rows = [f"u{u},x{i},{i}" for u in range(8) for i in range(6)]
    other.write_text("user,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    words[2] = other
    assert "expected items of that run" in cli.error_line(*words, "--start-from", trained_run)


@pytest.mark.rules("faults-R20")
@pytest.mark.slow
def test_presets_that_are_compared_have_one_warning(cli, shop, tmp_path, monkeypatch):
    monkeypatch.setattr("mindref.process.memory.usable_memory", lambda: 150_000_000)
    words = ["train", "--data", shop, "--out", tmp_path / "run", "--steps", "6", "--batch", "4"]
    planned = cli.succeed(*words, "--dry-run").err
    done = cli.succeed(*words)
    for text in (planned, done.err):
        assert sum("the training" in line for line in text.splitlines()) == 1, text
