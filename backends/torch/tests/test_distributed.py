"""Several real processes that train one model: one curve for any number, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mindref.data.synthetic import synthetic, write_log
from mindref.models.parameters import flatten
from mindref.run.checkpoint import load_state

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL to survive"
)
# with the usual epsilon Adam would hide a gradient that is twice too large
SETTINGS = {
    "backend": "torch", "dtype": "float64", "steps": 30, "evaluate-every": 1, "batch": 33,
    "negatives": 20, "width": 8, "hidden": 12, "epsilon": 0.01, "learning-rate": 0.1,
    "metric": "hit_rate@10", "user-features": "age", "validation-users": 20,
}  # fmt: skip
KILLED = """
import json, os, signal, sys, threading, time
from pathlib import Path
def fall(run, step):
    state = Path(run) / "state.json"
    while not state.exists() or json.loads(state.read_text())["step"] < step:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
rank, run, step = sys.argv[1:4]
if os.environ["RANK"] == rank:
    threading.Thread(target=fall, args=(run, int(step)), daemon=True).start()
from mindref.cli import main
main(sys.argv[4:])
"""
EARLY = """
import os, signal, sys
from mindref.recommender import run
if os.environ["RANK"] == sys.argv[1]:
    run.prepare = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
from mindref.cli import main
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small log in it."""
    made = tmp_path_factory.mktemp("shop")
    write_log(synthetic(users=60, items=120), made)
    return made


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The run of one process."""
    return trained(folder, "alone", 1)


def call(folder: Path, count: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command with as many processes, started by torchrun if there are several."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", count] if count > 1 else []
    command = [sys.executable, *launch, *words]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""}
    for name in ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS"):
        env.pop(name, None)
    run = partial(subprocess.run, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    return run([str(word) for word in command], check=False)


def first(name: str, **changes: object) -> list[object]:
    """Return the words of a training from its first step on."""
    settings = {**SETTINGS, **{key.replace("_", "-"): x for key, x in changes.items()}}
    options = [word for key, x in settings.items() for word in (f"--{key}", x)]
    return ["train", "--data", "shop.inter", "--out", name, *options]


def trained(folder: Path, name: str, count: int, **changes: object) -> Path:
    """Train with as many processes; return the run."""
    done = call(folder, count, "-m", "mindref", *first(name, **changes))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("hit_rate@10") == 1, "the first process alone prints"
    return folder / name


def curve(run: Path) -> np.ndarray:
    """Return the loss of each step."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return np.array([json.loads(line)["loss"] for line in lines])


def agree(run: Path, other: Path) -> None:
    """Fail unless two runs are the same to rounding, in their losses and where they end."""
    np.testing.assert_allclose(curve(run), curve(other), rtol=1e-9)
    one, two = (load_state(x)[0] for x in (run, other))
    for found, expected in ((flatten(one.params), flatten(two.params)), (one[1][2], two[1][2])):
        for name, x in expected.items():
            np.testing.assert_allclose(found[name], x, rtol=1e-9, atol=1e-13, err_msg=name)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("count", [2, 4])
def test_any_number_of_processes_has_the_curve_of_one(
    folder: Path, alone: Path, count: int
) -> None:
    run = trained(folder, f"with-{count}", count)
    losses = curve(run)
    assert len(losses) == 30
    assert losses[-5:].mean() < 0.99 * losses[:5].mean()
    agree(run, alone)
    assert sorted(x.name for x in run.iterdir()) == sorted(x.name for x in alone.iterdir())


@pytest.mark.rules("backend-R17")
def test_fewer_users_than_processes(folder: Path) -> None:
    few = {"batch": 3, "steps": 6}
    agree(trained(folder, "few-4", 4, **few), trained(folder, "few-1", 1, **few))


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize(("count", "victim", "later"), [(2, 1, 1), (4, 0, 2)])
def test_a_killed_process_ends_all_and_others_go_on(
    folder: Path, alone: Path, count: int, victim: int, later: int
) -> None:
    name = f"killed-{count}"
    (folder / "killed.py").write_text(KILLED)
    done = call(folder, count, "killed.py", victim, name, 8, *first(name))
    assert done.returncode != 0
    reasons = ("processes has gone", "torchrun sends to all when one process has gone")
    assert any(reason in done.stderr for reason in reasons), done.stderr
    told = f"Go on, with any number of processes, with: mindref train --resume {name}"
    assert told in done.stderr, done.stderr
    assert "mindref_torch/" not in done.stderr, "no traceback but that of torchrun"
    step = load_state(folder / name)[0].moments.step
    assert 8 <= step < 30
    done = call(folder, later, "-m", "mindref", "train", "--resume", name)
    assert done.returncode == 0, done.stderr
    agree(folder / name, alone)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_goes_before_the_first_step_ends_all(folder: Path, victim: int) -> None:
    (folder / "early.py").write_text(EARLY)
    done = call(folder, 2, "early.py", victim, *first(f"early-{victim}"))
    assert done.returncode != 0
    assert "Error: one of the 2 processes has gone before the first step" in done.stderr
    assert "mindref_torch/" not in done.stderr, "no traceback but that of torchrun"


def test_what_the_first_process_cannot_do_ends_all(folder: Path, alone: Path) -> None:
    done = call(folder, 2, "-m", "mindref", *first(alone.name))
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    wanted = f"{alone.name}: expected no run there, got one; choose another --out, or go on with"
    assert said == [f"Error: {wanted} --resume"]


def test_ctrl_c_saves_what_there_is(folder: Path) -> None:
    interrupting = KILLED.replace("SIGKILL", "SIGINT")
    (folder / "interrupted.py").write_text(interrupting)
    words = first("interrupted", steps=2000, evaluate_every=50)
    done = call(folder, 2, "interrupted.py", 1, "interrupted", 50, *words)
    assert "of 2000; all is saved. Go on, with any number" in done.stderr, done.stderr
    assert 50 <= load_state(folder / "interrupted")[0].moments.step < 2000
