"""Complete runs on a tiny workload: rows, ratios, failures, threads."""

import dataclasses
import json
import os

import numpy as np
import pytest

from mindref.bench import machine, report, run
from mindref.bench.contenders import thread_environment
from mindref.bench.run import run_bench
from mindref.cli.settings import set_threads
from mindref.process.threads import BLAS_THREAD_VARIABLES
from tests.bench.tiny_workload import HERE, SMALL, plan

pytestmark = pytest.mark.slow


def test_a_run_reports_every_task_of_every_contender():
    tasks = ("step", "inference", "evaluation", "recall")
    lines = []
    result = run_bench(plan("numpy", f"{HERE}:Talking", tasks=tasks), lines.append)
    assert json.loads(json.dumps(result, allow_nan=False))["tasks"] == result["tasks"]
    assert result["relative_to"] == "numpy"
    for task in tasks:
        assert list(result["tasks"][task]) == ["numpy", f"{HERE}:Talking"]
        for row in result["tasks"][task].values():
            assert len(row["seconds"]) == 2
            assert row["low"] <= row["median"] <= row["high"]
            count = SMALL.batch if task == "step" else SMALL.users
            assert row["rate"] == pytest.approx(count / row["median"])
        assert result["tasks"][task]["numpy"]["ratio"]["median"] == 1
    assert result["machine"]["cores"] == machine.usable_cores()
    assert result["settings"]["batch"] == SMALL.batch
    assert result["settings"]["rounds"] == 2
    assert result["contenders"]["numpy"]["environment"]["OPENBLAS_NUM_THREADS"] == "1"
    bound, row = result["lower_bound"], result["tasks"]["step"]["numpy"]
    ratios = [x / y for x, y in zip(row["seconds"], bound["seconds"], strict=True)]
    assert row["times_bound"]["median"] == np.median(ratios) > 1
    assert bound["work"]["products"] > 0
    assert lines[0] == f"starting and compiling kernels: numpy, {HERE}:Talking"
    assert lines[-1] == "recall: timing 2 rounds"


def test_a_failed_contender_is_a_row_and_the_others_are_timed():
    names = (f"{HERE}:Failing", "no_such_module:X", f"{HERE}:Leaving", "numpy")
    result = run_bench(plan(*names), str)
    step, contenders = result["tasks"]["step"], result["contenders"]
    assert "something of its own" in step[names[0]]["error"]
    assert not contenders[names[1]]["usable"]
    assert "No module named" in contenders[names[1]]["reason"]
    assert result["relative_to"] == "numpy"
    assert len(step["numpy"]["seconds"]) == 2
    assert "ended with 3" in {**step, **contenders}[names[2]].get("reason", str(step))


def test_a_contender_with_another_loss_is_reported():
    wrong = f"{HERE}:Other"
    result = run_bench(plan("numpy", wrong), str)
    same = {name: row["same_loss"] for name, row in result["tasks"]["step"].items()}
    assert same == {"numpy": True, wrong: False}
    assert any(
        f"{wrong} started with another loss" in line for line in report.heading_lines(result)
    )


def test_slow_tasks_run_the_minimum_number_of_rounds():
    result = run_bench(plan("numpy", rounds=50, limit=1e-9), str)
    assert len(result["tasks"]["step"]["numpy"]["seconds"]) == run.MIN_ROUNDS


@pytest.mark.parametrize("name", ["numba", "numpy", "mindref.kernels.backend:NumbaBackend"])
def test_contenders_and_commands_set_the_same_thread_variables(name, monkeypatch):
    for variable in (*BLAS_THREAD_VARIABLES, "MINDREF_THREADS"):
        monkeypatch.setenv(variable, "7")
    set_threads(3, name)
    result = thread_environment(name, 3)
    assert result == {variable: os.environ[variable] for variable in result}
    assert result["OPENBLAS_NUM_THREADS"] == ("1" if name == "numba" else "3")


@pytest.mark.parametrize("name", ["jax", "mindref_jax.backend:JaxBackend"])
def test_jax_on_the_cpu_is_pinned_to_its_cores(name):
    result = thread_environment(name, 3)
    assert (result["NPROC"], result["JAX_PLATFORMS"]) == ("3", "cpu")
    assert "JAX_PLATFORMS" not in thread_environment("jax", 3, "cuda")
    cores = machine.usable_cores()
    assert not run.is_pinned(name, cores)
    if cores > 1:
        assert run.worker_job(name, dataclasses.replace(SMALL, threads=1), ())["pin"]
