"""mindref train: settings from three sources, early checks, output, resumed runs."""

import json
import os
import re
from pathlib import Path

import pytest

from mindref.cli.settings import check_writable
from mindref.cli.training_output import TrainingMeter
from mindref.config import Config
from mindref.errors import ConfigError
from tests.runs import kept_report, options, write_log


def settings(run):
    return json.loads((run / "config.json").read_text())["settings"]


@pytest.mark.rules("baselines-R19", "baselines-R20")
def test_training_prints_a_table_a_warning_and_the_next_command(cli, shop, tmp_path):
    """The table fits into 80 columns, and `evaluate` prints it again."""
    run = tmp_path / "my run"
    result = cli.succeed("train", "--data", shop, "--out", run, *options())
    for name in ("hit_rate@10", "ndcg@50", "coverage@20", "model", "item_knn", "popularity"):
        assert name in result.out, name
    assert f"run: {run} (best at step " in result.out
    assert f"next: mindref recall '{run}' --user=customer-0001" in result.out
    progress = result.err.splitlines()
    assert progress[0].startswith("read 60 users, ")
    steps = [line for line in progress if line.startswith("step")]
    assert [line.split("  ")[0] for line in steps] == ["step 3/7", "step 6/7", "step 7/7"]
    for word in ("loss ", "examples/s", "validation hit_rate@10 "):
        assert word in steps[-1]  # kernels of the report may be compiled, and said, after it
    assert "-0%" not in result.out
    lines = result.out.splitlines()
    (last,) = [i for i, line in enumerate(lines) if line.startswith("└")]
    assert max(map(len, lines[: last + 1])) <= 80
    assert re.search(r"│ hit_rate@10  │ [.\d]+ \[[.\d]+, [.\d]+\] │ +[.\d]+ │ +[.\d]+ │$", lines[4])
    assert lines[2].replace("┃", "").split() == ["metric", "model", "item_knn", "popularity"]
    assert lines[last + 1].startswith("Warning: item_knn is above the model: hit_rate@10 ")
    evaluated = cli("evaluate", run).out.splitlines()
    assert evaluated[: last + 1] == lines[: last + 1]
    assert lines[last + 1] in evaluated


@pytest.mark.rules("model-R38")
@pytest.mark.parametrize("terminal", [False, True])
def test_a_model_without_steps_shows_no_progress_bar(cli, shop, tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(
        "mindref.cli.training_output.progress_bar", lambda **_: pytest.fail("a bar is shown")
    )
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("mindref.cli.progress.sys.stderr.isatty", lambda: terminal, raising=False)
        result = cli("train", "--data", shop, "--out", run, *options(model="popularity"))
    assert result.code == 0
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    value = json.loads(line)["value"]
    assert result.err.splitlines()[-2] == f"fitted  validation hit_rate@10 {value:.4f}"
    assert result.err.splitlines()[-1] == "evaluating the model on 58 test cases"
    assert "step" not in result.err
    assert f"run: {run}\nnext: " in result.out


def test_only_json_is_on_stdout_and_quiet_prints_no_progress(cli, shop, tmp_path):
    run, command = tmp_path / "run", ["train", "--data", shop, *options(), "--out"]
    result = cli.succeed(*command, run, "--json")
    found = json.loads(result.out)
    assert "step 7/7" in result.err
    assert found == {"run": str(run), **kept_report(run)}
    for name in ("model", "item_knn", "popularity"):
        assert sorted(found["metrics"]["test"][name]["hit_rate@10"]) == ["high", "low", "value"]
    result = cli(*command, tmp_path / "quiet", "--quiet")
    assert "step" not in result.err
    assert "hit_rate@10" in result.out


@pytest.mark.rules("model-R24")
def test_options_override_the_file_and_the_file_the_preset(cli, shop, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('preset = "paper"\nwindow = 7\nsteps = 5\nhidden = [4, 3]\npower = inf\n')
    run = tmp_path / "run"
    arguments = ["--batch", "8", "--negatives", "8", "--width", "4", "--metric", "hit_rate@5"]
    arguments += ["--backend", "numpy"]
    command = ["train", "--data", shop, "--quiet", "--config", file, *arguments, "--out"]
    assert cli(*command, run, "--steps", 2).code == 0
    found = settings(run)
    assert found["steps"] == 2, "the option"
    assert (found["window"], found["hidden"], found["power"]) == (7, [4, 3], "inf"), "the file"
    assert found["last_relu"] is True, "the preset of the file"
    assert json.loads((run / "config.json").read_text())["protocol"] == "paper", "its split"
    assert found["learning_rate"] == 0.005, "the default"
    again = tmp_path / "again"
    cli(*command, again, "--preset", "mind", "--no-last-relu", "--hidden", "6", "--steps", 1)
    found = settings(again)
    assert (found["last_relu"], found["hidden"], found["window"]) == (False, [6], 7)
    assert found["routing_gradient"] == "last", "the preset of the options"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data = "log.csv"', "expected only settings, got data; give --data on the command line"),
        ("learning_rat = 0.1", "got learning_rat; did you mean learning_rate?"),
        ("steps = 1.5", "steps: expected an integer, got 1.5"),
        ("steps = ", "expected a TOML file, got"),
        ("[zzz]\nsteps = 3", "expected a known setting, got zzz; known: model, interests, "),
        ('preset = "mine"', "preset: expected mind or paper or recommended, got mine"),
        ("preset = [1]", "preset: expected mind or paper or recommended, got [1]"),
    ],
)
def test_an_error_in_the_settings_file_is_one_line(cli, tmp_path, text, message):
    (tmp_path / "settings.toml").write_text(text)
    command = ("train", "--config", tmp_path / "settings.toml", "--out", tmp_path / "run")
    assert message in cli.error_line(*command)
    assert not (tmp_path / "run").exists()


def test_damaged_lines_are_reported(cli, tmp_path):
    rows = [f"u{u},i{i},{i}" for u in range(8) for i in range(6)]
    log = write_log(tmp_path / "log.csv", [*rows[:9], "u1,i1", *rows[9:]])
    arguments = ["--out", tmp_path / "run", *options(metric="hit_rate@3", steps=1)]
    error_text = cli.error("train", "--data", log, *arguments)
    assert "--max-bad-lines N" in error_text
    assert re.search(r"log.csv, line 11: ", error_text)
    result = cli.succeed("train", "--data", log, "--max-bad-lines", 1, *arguments)
    assert re.search(r"^  damaged: .*log.csv, line 11: ", result.err, re.M)


def test_control_characters_in_user_ids_are_not_printed(cli, tmp_path):
    log = tmp_path / "log.jsonl"
    rows = [{"user": "\x1b[2J", "item": f"i{i}\x1b]0;x", "time": i} for i in range(9)]
    log.write_text("\n".join(map(json.dumps, rows)))
    small = ("--steps=2", "--width=4", "--backend=numpy")
    result = cli.succeed("train", "--data", log, "--out", tmp_path / "run", *small)
    assert "\x1b" not in result.out + result.err
    assert result.out.endswith("run --all-users\n")


def test_resume_of_a_finished_run_prints_its_report(cli, run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = cli.succeed("train", "--resume", run, "--quiet", "--json")
    report = kept_report(run)
    assert json.loads(result.out) == {"run": str(run), **report}
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_path_must_be_writable_and_is_unchanged(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("old")
    for path in (None, file, tmp_path, tmp_path / "new", tmp_path / "new" / "and" / "deep"):
        check_writable("--out", path)
    message = "--out: expected a writable location.* check {}$"
    for path in (file / "run", file / "a" / "run"):
        with pytest.raises(ConfigError, match=message.format(file)):
            check_writable("--out", path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ConfigError, match=message.format(tmp_path)):
        check_writable("--out", tmp_path / "new")


@pytest.mark.rules("optimiser-R19")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "ended at step 7: the last step)"),
        ({"patience": 1, "learning_rate": 0}, "ended at step 6: no improvement; --patience 1)"),
    ],
)
def test_the_summary_states_why_the_training_ended(cli, shop, tmp_path, changes, reason):
    run = tmp_path / "run"
    result = cli.succeed(
        "train", "--data", shop, "--out", run, *options(backend="numpy", **changes)
    )
    (line,) = [line for line in result.out.splitlines() if line.startswith("run: ")]
    assert reason in line


@pytest.mark.rules("optimiser-R20")
def test_the_progress_shows_the_remaining_time():
    now = [100.0]
    meter = TrainingMeter(Config.of("mind", {"steps": 101}), 0, clock=lambda: now[0])
    texts = []
    for step in range(1, 102):
        now[0] += 60 if step == 1 else 2  # the first step compiles
        meter.add(step, 0.5)
        texts.append(meter.remaining_text)
    assert [texts[step - 1] for step in (1, 2, 51, 100, 101)] == [
        "", "3m18s left", "1m40s left", "2s left", "",
    ]  # fmt: skip
    assert meter.position(101) == "step 101/101"
