"""Processes: what they answer, how they fail, and that none outlives its use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import mindref
from mindref.bench.crew import Crew, Failed, Worker
from mindref.bench.run import job
from mindref.bench.subjects import environment
from mindref.bench.worker import Held
from tests.bench.small import HERE, SMALL


def started(crew: Crew, name: str) -> dict[str, Any] | None:
    crew.start(name, job(name, SMALL, ()), environment(name, 1))
    return crew.greet(name)


def begin(crew: Crew, name: str) -> dict[str, Any]:
    return crew.ask(name, do="begin", task="step", warm_up=1, limit=60.0)


def test_a_worker_says_what_it_is_and_times_what_it_is_told() -> None:
    with Crew() as crew:
        facts = started(crew, "numpy")
        assert facts is not None
        assert facts["level"] == "ops"
        assert facts["tables"] == 3 * 40 * 4 * 4
        assert "numpy" in facts["versions"]
        assert begin(crew, "numpy")["answer"] > 0
        assert crew.ask("numpy", do="run", task="step", steps=2, lead=0.0)["seconds"] > 0
        memory = crew.ask("numpy", do="end")["memory"]
        assert memory is None or memory > 0


@pytest.mark.slow
def test_both_libraries_of_products_are_named() -> None:
    """NumPy and SciPy bring one each; compiled kernels have that of SciPy."""
    with Crew() as crew:
        crew.start("numba", job("numba", SMALL, ["step"]), environment("numba", 1))
        facts = crew.greet("numba")
    assert facts is not None, crew.reasons
    assert {"blas", "blas_of_scipy"} <= set(facts["versions"])


def test_the_mindref_of_a_worker_is_the_one_that_asks(tmp_path: Path) -> None:
    """In a checkout, another may be installed."""
    copy, told = tmp_path / "mindref", '{"who": "the copy"}'
    shutil.copytree(Path(mindref.__file__).parent, copy)
    (copy / "bench" / "worker.py").write_text(f"def main():\n    print({told!r}, flush=True)\n")
    script = "from mindref.bench.crew import Worker; print(Worker({}, {}).hear())"
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "{'who': 'the copy'}\n", done.stderr


def test_files_that_lie_where_one_stands_are_no_libraries_but_may_be_backends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("random.py").write_text("raise ValueError")
    Path("own.py").write_text("from mindref.backend import NumpyBackend as Own")
    with Crew() as crew:
        assert started(crew, "numpy"), crew.reasons
        assert started(crew, "own:Own"), crew.reasons


class Counting:
    """Work that only notes what it is asked for."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []

    def burst(self, task: str, steps: int) -> Callable[[], None]:
        def run() -> None:
            self.done.append((task, steps))
            sleep(0.01)

        return run


@pytest.mark.parametrize(("lead", "least", "most"), [(0.0, 1, 1), (0.1, 2, 11)])
@pytest.mark.slow
def test_steps_are_led_by_others_that_are_not_timed(lead: float, least: int, most: int) -> None:
    held: Any = object.__new__(Held)
    held.work = Counting()
    held.run("step", 7, lead)
    *before, timed = held.work.done
    assert least <= len(before) <= most
    assert {*before} == {("step", 1)}
    assert timed == ("step", 7)
    held.work.done.clear()
    held.run("inference", 1, lead)
    assert held.work.done == [("inference", 1)]


def test_what_a_library_prints_is_no_answer() -> None:
    name = f"{HERE}:Talking"
    with Crew() as crew:
        assert started(crew, name) is not None
        assert begin(crew, name)["answer"] > 0


def test_an_import_that_fails_is_a_reason() -> None:
    with Crew() as crew:
        assert started(crew, "no_such_module:X") is None
        assert "No module named" in crew.reasons["no_such_module:X"]
        assert started(crew, "numpy") is not None
        assert crew.usable() == ["numpy"]


def test_one_that_raises_lives_on_and_one_that_leaves_is_missed() -> None:
    failing, leaving = f"{HERE}:Failing", f"{HERE}:Leaving"
    with Crew() as crew:
        for name in (failing, leaving):
            assert started(crew, name) is not None
        with pytest.raises(Failed, match="something of its own"):
            begin(crew, failing)
        assert crew.ask(failing, do="end").keys() == {"memory"}
        with pytest.raises(Failed, match="its process ended with 3: out of here"):
            begin(crew, leaving)
        assert crew.usable() == [failing]


def test_all_are_killed_when_the_block_is_left_by_ctrl_c() -> None:
    name = f"{HERE}:Sleeping"
    workers: list[Worker] = []

    def interrupted() -> None:
        with Crew() as crew:
            for one in (name, "numpy"):
                assert started(crew, one) is not None
            workers.extend(crew.workers.values())
            crew.workers[name].send({"do": "begin", "task": "step", "warm_up": 1, "limit": 1.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [worker.process.returncode for worker in workers] == [-9, -9]


def test_a_worker_that_is_busy_ends_with_the_pipe() -> None:
    worker = Worker(job(f"{HERE}:Sleeping", SMALL, ()), environment("numpy", 1))
    try:
        worker.hear()
        worker.send({"do": "begin", "task": "step", "warm_up": 1, "limit": 1.0})
        worker.commands.close()
        assert worker.process.wait(timeout=60) == 0
    finally:
        worker.process.kill()
        worker.end()


def test_a_worker_whose_parent_was_killed_ends_by_itself() -> None:
    script = f"""
import os
from mindref.bench.crew import Worker
from tests.bench.test_crew import SMALL, environment, job
worker = Worker(job({f"{HERE}:Sleeping"!r}, SMALL, ()), environment("numpy", 1))
worker.hear()
worker.send({{"do": "begin", "task": "step", "warm_up": 1, "limit": 1.0}})
os.dup2(2, 1)
print(worker.process.pid, file=__import__("sys").stderr, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9
    assert gone(int(done.stderr))


def gone(pid: int) -> bool:
    """Wait for a process that is no child of ours to end."""
    import os
    import time

    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.kill(pid, 9)
    return False
