"""mindref train --track: a recording tracker, a missing one, one that fails, a stopped training."""

import json
import sys

import pytest

from tests.runs import content, options

TRACKER = """
import json
from pathlib import Path


def write(*words):
    print("a message of the tracker")
    with open(Path(__file__).with_name("calls.jsonl"), "a") as file:
        file.write(json.dumps(words) + "\\n")


class Recorder:
    def start(self, config):
        write("start", config)

    def log(self, step, values):
        write("log", step, sorted(values))

    def end(self, report):
        write("end", report and report["steps"])


class Broken(Recorder):
    def log(self, step, values):
        raise OSError("no connection")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_trackers.py").write_text(TRACKER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_trackers", raising=False)  # of another test
    return tmp_path


def calls(folder):
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


@pytest.mark.rules("callbacks-R2", "callbacks-R7", "callbacks-R8")
def test_trackers_change_no_byte_and_no_output(cli, shop, folder):
    plain = cli.json("train", "--data", shop, *options(), "--out", "plain")
    names = ("--track", "my_trackers:Recorder", "--track", "my_trackers:Broken")
    result = cli.succeed("train", "--data", shop, *options(), "--out", "run", *names, "--json")
    warning = "Warning: tracker my_trackers:Broken failed (OSError: no connection); the training"
    assert result.err.count(warning) == 1
    assert json.loads(result.out) == {**plain, "run": "run"}
    assert content(folder / "run") == content(folder / "plain")
    recorded = [row for row in calls(folder) if row[0] == "log"]
    names = ("train/loss", "validation/hit_rate@10")
    assert recorded == [["log", step, [name]] for step in (3, 6, 7) for name in names]
    start = next(row[1] for row in calls(folder) if row[0] == "start")
    assert (start["run"], start["split"]) == ("run", "leave_last_out")
    assert calls(folder)[-1] == ["end", 7]


@pytest.mark.rules("callbacks-R6")
@pytest.mark.parametrize("words", [("--model", "din", "--recall", "plain"), ()])
def test_a_missing_tracker_is_reported_before_the_log_is_read(cli, shop, folder, words):
    begin = ["train", *(words or ("--data", "no_such_file"))]
    text = "Error: tracker my_trackers:Recoder: expected an object that can be imported"
    assert text in cli.error_line(*begin, "--track", "my_trackers:Recoder")
    assert not (folder / "runs").exists()


@pytest.mark.rules("callbacks-R1")
@pytest.mark.slow
def test_the_training_of_a_reranker_is_tracked(cli, shop, folder):
    cli.succeed("train", "--data", shop, *options(), "--out", "run", "--quiet")
    din = ("--model", "din", "--recall", "run", "--steps", "4", "--batch", "16", "--out", "din")
    cli.succeed("train", *din, "--track", "my_trackers:Recorder", "--quiet")
    assert [row[0] for row in calls(folder)] == ["start", "log", "end"]
    assert calls(folder)[1] == ["log", 4, ["train/loss"]]
