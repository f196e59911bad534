"""A whole run of little work: rows, ratios, failures, scaling, and who owns the threads."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import pytest

from mindref.bench import machine, report, run, scaling
from mindref.bench.run import bench
from mindref.bench.subjects import PRODUCTS, environment
from mindref.cli.settings import set_threads
from mindref.errors import BackendError, ConfigError
from tests.bench.small import HERE, SMALL, plan


class Silent:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def on_round(self, what: str, turn: int, rounds: int) -> None:
        self.said.append(f"{what} {turn + 1}/{rounds}")


def test_a_run_reports_every_task_of_every_backend() -> None:
    tasks = ("step", "inference", "evaluation", "recall")
    listener = Silent()
    found = bench(plan("numpy", f"{HERE}:Talking", tasks=tasks), listener)
    assert json.loads(json.dumps(found, allow_nan=False))["tasks"] == found["tasks"]
    assert found["relative_to"] == "numpy"
    for task in tasks:
        assert list(found["tasks"][task]) == ["numpy", f"{HERE}:Talking"]
        for row in found["tasks"][task].values():
            assert len(row["seconds"]) == 2
            assert row["low"] <= row["median"] <= row["high"]
            many = SMALL.batch if task == "step" else SMALL.users
            assert row["rate"] == pytest.approx(many / row["median"])
        assert found["tasks"][task]["numpy"]["ratio"]["median"] == 1
    assert found["machine"]["cores"] == machine.cores()
    assert found["settings"]["batch"] == SMALL.batch
    assert found["settings"]["rounds"] == 2
    assert found["candidates"]["numpy"]["environment"]["OPENBLAS_NUM_THREADS"] == "1"
    assert listener.said[0] == f"starting and compiling kernels: numpy, {HERE}:Talking"
    assert "recall 2/2" in listener.said


def test_the_bound_and_the_share_of_the_peak_are_those_of_the_rates_measured() -> None:
    found = bench(plan("numpy"), Silent())
    floor, row = found["floor"], found["tasks"]["step"]["numpy"]
    work = sum(floor["flops"].values())
    seconds = work / floor["gemm_flops_per_second"]
    assert row["share_of_peak"] == pytest.approx(seconds / row["median"])
    assert row["times_bound"] == pytest.approx(row["median"] / floor["seconds"])
    plain = row["median"] / floor["seconds_word_by_word"]
    assert row["times_word_by_word"] == pytest.approx(plain)
    assert floor["seconds"] > seconds
    assert floor["seconds_word_by_word"] > floor["seconds"]
    assert row["times_bound"] > 1


def test_one_that_fails_is_a_row_and_the_others_go_on() -> None:
    names = (f"{HERE}:Failing", "no_such_module:X", f"{HERE}:Leaving", "numpy")
    found = bench(plan(*names), Silent())
    step, candidates = found["tasks"]["step"], found["candidates"]
    assert "something of its own" in step[names[0]]["error"]
    assert not candidates[names[1]]["usable"]
    assert "No module named" in candidates[names[1]]["reason"]
    assert found["relative_to"] == "numpy"
    assert len(step["numpy"]["seconds"]) == 2
    assert "ended with 3" in {**step, **candidates}[names[2]].get("reason", str(step))


def test_a_backend_that_computes_something_else_is_found_out() -> None:
    wrong = f"{HERE}:Other"
    found = bench(plan("numpy", wrong), Silent())
    same = {name: row["same_loss"] for name, row in found["tasks"]["step"].items()}
    assert same == {"numpy": True, wrong: False}
    assert any(f"{wrong} began with another loss" in line for line in report.heading(found))


def test_ratios_are_to_the_one_that_was_chosen() -> None:
    other = f"{HERE}:Talking"
    found = bench(plan("numpy", other, base=other), Silent())
    assert found["relative_to"] == other
    assert found["tasks"]["step"][other]["ratio"]["median"] == 1
    step = found["tasks"]["step"]
    rounds = [a / b for a, b in zip(step["numpy"]["seconds"], step[other]["seconds"], strict=True)]
    assert step["numpy"]["ratio"]["median"] == pytest.approx(sum(rounds) / 2)


def test_nobody_is_left_to_compare_with() -> None:
    found = bench(plan("no_such_module:X"), Silent())
    assert found["relative_to"] is None
    assert found["tasks"]["step"] == {}
    assert found["floor"] is None


def test_slow_tasks_are_given_three_rounds() -> None:
    found = bench(plan("numpy", rounds=50, limit=1e-9), Silent())
    assert len(found["tasks"]["step"]["numpy"]["seconds"]) == run.LEAST


def test_one_number_is_varied_and_all_others_stay() -> None:
    for number, (name, _) in scaling.NUMBERS.items():
        found = scaling.varied(number, SMALL)
        assert len(found) > 1 or machine.cores() == 1
        for value, settings in found.items():
            assert settings == dataclasses.replace(SMALL, **{name: value})
    assert list(scaling.varied("catalogue", SMALL)) == [10**3, 10**4, 10**5, 10**6]
    assert max(scaling.varied("threads", SMALL)) == machine.cores()


@pytest.mark.slow
def test_a_scaling_row_has_times_memory_and_the_ratio_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(scaling.NUMBERS, "B", ("batch", (2, 8)))
    names = ("numpy", f"{HERE}:Failing")
    found = bench(plan(*names, tasks=(), scaling=("B",)), Silent())
    first, second, *failed = found["scaling"]
    assert [row["value"] for row in (first, second)] == [2, 8]
    assert first["ratio"]["median"] == 1
    assert second["ratio"]["median"] == pytest.approx(
        sum(b / a for a, b in zip(first["seconds"], second["seconds"], strict=True)) / 2
    )
    assert second["rate"] == pytest.approx(8 / second["median"])
    assert second["behaviours"] > first["behaviours"]
    assert second["tables"] == 3 * 40 * 4 * 4
    assert all("something of its own" in row["error"] for row in failed)
    assert len(failed) == 2


@pytest.mark.parametrize("name", ["numba", "numpy", "mindref.kernels.backend:NumbaBackend"])
def test_threads_are_set_as_the_commands_set_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*PRODUCTS, "MINDREF_THREADS"):
        monkeypatch.setenv(variable, "7")
    set_threads(3, name)
    found = environment(name, 3)
    assert found == {variable: os.environ[variable] for variable in found}
    assert found["OPENBLAS_NUM_THREADS"] == ("1" if name == "numba" else "3")


def test_pytorch_has_its_own_threads() -> None:
    assert environment("torch-eager", 3)["OMP_NUM_THREADS"] == "3"
    assert run.surroundings("torch-eager", 1)["pinned_to_cores"] is None


def test_a_backend_of_jax_may_look_for_the_device_that_is_asked_for() -> None:
    assert "JAX_PLATFORMS" not in environment("jax", 3, "cuda")
    assert "JAX_PLATFORMS" not in run.surroundings("jax", 3, "auto")["environment"]
    assert environment("jax-jit", 3, "cuda")["JAX_PLATFORMS"] == "cpu", "the bench's own stays"


@pytest.mark.parametrize("name", ["jax-jit", "jax", "mindref_jax.backend:JaxBackend"])
def test_jax_has_its_own_threads_on_the_cpu(name: str) -> None:
    found = environment(name, 3)
    assert (found["NPROC"], found["JAX_PLATFORMS"]) == ("3", "cpu")
    cores = machine.cores()
    assert run.surroundings(name, cores)["pinned_to_cores"] is None
    if cores > 1:
        assert run.surroundings(name, 1)["pinned_to_cores"] == 1
        assert run.job(name, dataclasses.replace(SMALL, threads=1), ())["bound"]


@pytest.mark.parametrize(
    ("names", "more", "says"),
    [
        (("nobody",), {}, "--backends: expected one of"),
        (("numpy",), {"base": "numba"}, "--relative-to: expected one of those that are timed"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_anything_starts(
    names: tuple[str, ...], more: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Crew", None)
    with pytest.raises((BackendError, ConfigError), match=says):
        bench(plan(*names, **more), Silent())


def test_what_is_installed_is_found_without_importing_it() -> None:
    assert {"numba", "numpy"} <= set(run.installed())
