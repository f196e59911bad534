"""Killed at any moment, or stopped by Ctrl-C, a training still ends in the same bytes."""

import json
import random
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests.runs import call, content, interrupt, options, start_python

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL to survive"
)
MOMENTS = 20
# every step ends an epoch, so that most of the time goes into saving
SETTINGS = options(steps=30, evaluate_every=1)
LONG = options(steps=400, evaluate_every=40)
NAMES = (
    *("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl", "items.tsv"),
    *("config.json", "report.json"),
)
# kills its own process at the n-th rename, when the new file is written and the old one still there
SUICIDE = """
import os, signal, sys
from pathlib import Path
number, replace = [int(sys.argv.pop(1))], Path.replace
def killing(self, target):
    number[0] -= 1
    if number[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = killing
from mindref.cli import main
main(sys.argv[1:])
"""


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

    def start(self, *python):
        """Begin, or go on."""
        return start_python(*(python or ("-m", "mindref")), *self.words, cwd=self.folder)

    def kill_after(self, seconds):
        """Kill the training after some time; return whether it was still running."""
        with self.start() as child:
            try:
                child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            assert child.returncode in (0, -signal.SIGKILL)
            return child.returncode != 0

    def kill_at_rename(self, number):
        """Let the training kill itself at a rename."""
        with self.start("-c", SUICIDE, str(number)) as child:
            child.communicate()
            assert child.returncode == -signal.SIGKILL

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


@pytest.mark.slow
def test_killed_twice_and_resumed_it_ends_in_the_same_bytes(tmp_path, whole):
    expected, seconds = whole
    training = Training(tmp_path / "run", SETTINGS)
    training.kill_after(0.6 * seconds)
    training.kill_after(0.5 * seconds)
    assert training.finish() == expected


@pytest.mark.rules("faults-R3")
@pytest.mark.parametrize("number", range(1, 11))
@pytest.mark.slow(every=10, start=5)
def test_killed_while_saving_it_ends_in_the_same_bytes(tmp_path, whole, number, request):
    """1: items.tsv, 2: config.json, 3 to 6: the first epoch's metrics, state, words and model."""
    if number not in (2, 6) and not request.config.getoption("--kill"):
        pytest.skip("takes minutes; run with --kill")
    training = Training(tmp_path / "run", SETTINGS)
    training.kill_at_rename(number)
    assert (training.run / "config.json").exists() == (number > 2)
    assert list(training.run.glob(".*.tmp")), "the kill came between writing and renaming"
    assert training.finish() == whole[0]


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_it_ends_in_the_same_bytes(tmp_path, whole, moment, request):
    """One moment is drawn in each twentieth of a training's life, from its first import on."""
    if not request.config.getoption("--kill"):
        pytest.skip("takes minutes; run with --kill")
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
    with training.start() as child:
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
