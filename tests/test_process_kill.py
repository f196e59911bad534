"""Killed at any moment, or stopped by Ctrl-C, a training still ends in the same bytes.

tests/faults kills each command before each of its changes of a file.
"""

import json
import random
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests.runs import call, content, interrupt, options, start

MOMENTS = 20
# every step ends a validation, so that most of the time goes into saving
SETTINGS = options(steps=30, evaluate_every=1)
LONG = options(steps=400, evaluate_every=40)
NAMES = (
    "model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl", "items.tsv",
    "config.json", "report.json",
)  # fmt: skip


class Training:
    """A training in a folder of its own, always called by the same relative names."""

    def __init__(self, folder, settings):
        folder.mkdir()
        write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
        self.folder, self.run = folder, folder / "run"
        self.first = ["train", "--data", "shop.inter", "--out", "run", *settings]

    @property
    def words(self):
        """What a user would type now."""
        begun = (self.run / "config.json").exists()
        return ["train", "--resume", "run"] if begun else self.first

    def kill_after(self, seconds):
        """Kill the training after some time, if it still runs."""
        with start(*self.words, cwd=self.folder) as child:
            try:
                child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            assert child.returncode in (0, -signal.SIGKILL)

    def finish(self):
        """Go on to the end; return what lies in the run directory."""
        done = call(*self.words, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        found = content(self.run, NAMES)
        words = json.loads(found["config.json"])
        words["source"]["place"] = Path(words["source"]["place"]).name  # the folder is another
        del words["sha256"]  # of these words, the place among them
        assert not list(self.run.glob(".*")), "what the kill left behind is swept away"
        return {**found, "config.json": json.dumps(words).encode()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a training that nobody disturbed, and the seconds it took."""
    training = Training(tmp_path_factory.mktemp("whole") / "run", SETTINGS)
    started = time.perf_counter()
    return training.finish(), time.perf_counter() - started


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """The files of a training long enough to be interrupted by hand."""
    return Training(tmp_path_factory.mktemp("long") / "run", LONG).finish()


@pytest.mark.sweep
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_it_ends_in_the_same_bytes(tmp_path, moment, whole):
    """One moment is drawn in each twentieth of a training's life, from its first import on."""
    expected, seconds = whole
    rng = random.Random(moment)
    training = Training(tmp_path / "run", SETTINGS)
    training.kill_after((moment + rng.random()) / MOMENTS * seconds)
    training.kill_after(rng.random() * seconds)  # and once more while it goes on
    assert training.finish() == expected


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_going_on_ends_in_the_same_bytes(tmp_path, long, times):
    training = Training(tmp_path / "run", LONG)
    with start(*training.words, cwd=training.folder) as child:
        last = interrupt(child, "step 40/", times).splitlines()[-1]
    assert last.startswith("Stopped at ")
    assert "saved. Resume with: mindref train --resume run" in last
    step = json.loads((training.run / "state.json").read_text())["step"]
    assert 40 <= step < 400
    if times == 1:
        assert f"Stopped at step {step} of 400; all is saved" in last
    command = shlex.split(last.split("Resume with: mindref ")[1])
    done = call(*command, "--quiet", cwd=training.folder)
    assert done.returncode == 0, done.stderr
    assert training.finish() == long
