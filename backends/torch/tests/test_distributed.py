"""Distributed training with real processes: same losses for any number, also after a kill."""

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
from tests.runs import write_shop

from mindref.models.parameters import flatten
from mindref.run.checkpoint import load_state

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
# with the default epsilon Adam would hide a gradient with a wrong factor
SETTINGS = {
    "backend": "torch", "dtype": "float64", "steps": 30, "evaluate-every": 1, "batch": 33,
    "negatives": 20, "width": 8, "hidden": 12, "epsilon": 0.01, "learning-rate": 0.1,
    "metric": "hit_rate@10", "user-features": "age", "validation-users": 20,
    "patience": 0,
}  # fmt: skip
KILL_SCRIPT = """
import json, os, signal, sys, threading, time
from pathlib import Path
def kill_at_step(run, step):
    state = Path(run) / "state.json"
    while not state.exists() or json.loads(state.read_text())["step"] < step:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
rank, run, step = sys.argv[1:4]
if os.environ["RANK"] == rank:
    threading.Thread(target=kill_at_step, args=(run, int(step)), daemon=True).start()
from mindref.cli import main
main(sys.argv[4:])
"""
EARLY_KILL_SCRIPT = """
import os, signal, sys
from mindref.recommender.training import trainer
if os.environ["RANK"] == sys.argv[1]:
    trainer.prepare_training = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
from mindref.cli import main
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    write_shop(path)
    return path


@pytest.fixture(scope="module")
def single_process_run(folder: Path) -> Path:
    return train_run(folder, "alone", 1)


def run_command(folder: Path, count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command with `count` processes, with torchrun if count > 1."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", count] if count > 1 else []
    command = [sys.executable, *launch, *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""}
    for name in ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS"):
        env.pop(name, None)
    run = partial(subprocess.run, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    return run([str(argument) for argument in command], check=False)


def train_arguments(name: str, **changes: object) -> list[object]:
    settings = {**SETTINGS, **{key.replace("_", "-"): x for key, x in changes.items()}}
    used = {key: x for key, x in settings.items() if x is not None}
    options = [argument for key, x in used.items() for argument in (f"--{key}", x)]
    return ["train", "--data", "shop.inter", "--out", name, *options]


def train_run(folder: Path, name: str, count: int, **changes: object) -> Path:
    """Train with `count` processes; return the run."""
    done = run_command(folder, count, "-m", "mindref", *train_arguments(name, **changes))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("│ hit_rate@20") == 1, "only rank 0 prints"
    return folder / name


def read_losses(run: Path) -> np.ndarray:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return np.array([json.loads(line)["loss"] for line in lines])


def assert_equal_runs(run: Path, other: Path) -> None:
    """Fail unless losses, parameters and moments of two runs are equal up to rounding."""
    np.testing.assert_allclose(read_losses(run), read_losses(other), rtol=1e-9)
    one, two = (load_state(x)[0] for x in (run, other))
    for values, expected in ((flatten(one.params), flatten(two.params)), (one[1][2], two[1][2])):
        for name, x in expected.items():
            np.testing.assert_allclose(values[name], x, rtol=1e-9, atol=1e-13, err_msg=name)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_losses_do_not_depend_on_the_number_of_processes(
    folder: Path, single_process_run: Path, count: int
) -> None:
    run = train_run(folder, f"with-{count}", count)
    losses = read_losses(run)
    assert len(losses) == 30
    assert losses[-5:].mean() < 0.99 * losses[:5].mean()
    assert_equal_runs(run, single_process_run)
    assert sorted(x.name for x in run.iterdir()) == sorted(
        x.name for x in single_process_run.iterdir()
    )


NO_HEAD = {"head": "none", "contexts": 0, "user_features": None}


@pytest.mark.rules("backend-R17", "backend-R19", "model-R39")
@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "recommended"},
        {"preset": "recommended", **NO_HEAD},
        pytest.param(  # no parameter but the tables
            {"preset": "recommended", **NO_HEAD, "votes": "items", "recency": "none"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_losses_of_mind_plus_do_not_depend_on_the_number_of_processes(
    folder: Path, changes: dict[str, object], tmp_path: Path
) -> None:
    runs = [train_run(folder, str(tmp_path / f"plus-{n}"), n, **changes) for n in (2, 1)]
    losses = read_losses(runs[0])
    assert losses[-5:].mean() < 0.99 * losses[:5].mean()
    assert_equal_runs(*runs)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize(("count", "batch"), [(2, 1), pytest.param(4, 3, marks=pytest.mark.slow)])
def test_a_batch_with_fewer_users_than_processes(folder: Path, count: int, batch: int) -> None:
    runs = [train_run(folder, f"few-{n}-{batch}", n, batch=batch, steps=6) for n in (count, 1)]
    assert_equal_runs(*runs)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize(
    ("count", "victim", "later"), [(2, 1, 1), pytest.param(4, 0, 2, marks=pytest.mark.slow)]
)
def test_a_killed_process_ends_all_and_the_run_can_be_resumed(
    folder: Path, single_process_run: Path, count: int, victim: int, later: int
) -> None:
    name = f"killed-{count}"
    (folder / "killed.py").write_text(KILL_SCRIPT)
    done = run_command(folder, count, "killed.py", victim, name, 8, *train_arguments(name))
    assert done.returncode != 0
    reasons = ("processes ended", "torchrun sends to all when one process ends")
    assert any(reason in done.stderr for reason in reasons), done.stderr
    resume_message = f"Resume, with any number of processes, with: mindref train --resume {name}"
    assert resume_message in done.stderr, done.stderr
    assert "mindref_torch/" not in done.stderr, "only torchrun prints a traceback"
    step = load_state(folder / name)[0].moments.step
    assert 8 <= step < 30
    done = run_command(folder, later, "-m", "mindref", "train", "--resume", name)
    assert done.returncode == 0, done.stderr
    assert_equal_runs(folder / name, single_process_run)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_killed_before_the_first_step_ends_all(folder: Path, victim: int) -> None:
    (folder / "early.py").write_text(EARLY_KILL_SCRIPT)
    done = run_command(folder, 2, "early.py", victim, *train_arguments(f"early-{victim}"))
    assert done.returncode != 0
    assert "Error: one of the 2 processes ended before the first step" in done.stderr
    assert "mindref_torch/" not in done.stderr, "only torchrun prints a traceback"


def test_an_error_of_rank_0_ends_all_processes(folder: Path, single_process_run: Path) -> None:
    done = run_command(folder, 2, "-m", "mindref", *train_arguments(single_process_run.name))
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    expected = "expected no run there, got one; choose another --out, or go on with --resume"
    assert errors == [f"Error: {single_process_run.name}: {expected}"]


def test_ctrl_c_saves_the_state(folder: Path) -> None:
    interrupting = KILL_SCRIPT.replace("SIGKILL", "SIGINT")
    (folder / "interrupted.py").write_text(interrupting)
    arguments = train_arguments("interrupted", steps=2000, evaluate_every=50)
    done = run_command(folder, 2, "interrupted.py", 1, "interrupted", 50, *arguments)
    assert "of 2000; all is saved. Resume, with any number" in done.stderr, done.stderr
    assert 50 <= load_state(folder / "interrupted")[0].moments.step < 2000
