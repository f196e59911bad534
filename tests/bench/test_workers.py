"""Worker processes: answers, failures, and that all of them end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

import mindref
from mindref.bench.contenders import thread_environment
from mindref.bench.run import worker_job
from mindref.bench.worker import WorkerState
from mindref.bench.workers import WorkerFailed, WorkerPool
from tests.bench.tiny_workload import HERE, SMALL

pytestmark = pytest.mark.slow

BEGIN = {"do": "begin", "task": "step", "warm_up": 1, "limit": 1.0}


def start_worker(pool, name):
    pool.start(name, worker_job(name, SMALL, ()), thread_environment(name, 1))
    return pool.wait_until_ready(name)


def begin_step(pool, name):
    return pool.request(name, do="begin", task="step", warm_up=1, limit=60.0)


@pytest.mark.slow
def test_versions_name_the_blas_of_numpy_and_scipy():
    """NumPy and SciPy have a BLAS each; compiled kernels use SciPy's."""
    with WorkerPool() as pool:
        pool.start("numba", worker_job("numba", SMALL, ["step"]), thread_environment("numba", 1))
        facts = pool.wait_until_ready("numba")
    assert facts is not None, pool.reasons
    assert {"blas", "blas_of_scipy"} <= set(facts["versions"])


def test_a_worker_imports_the_mindref_of_its_parent(tmp_path):
    """Another mindref may be installed beside a checkout."""
    copy, messages = tmp_path / "mindref", '{"who": "the copy"}'
    shutil.copytree(Path(mindref.__file__).parent, copy)
    (copy / "bench" / "worker.py").write_text(f"def main():\n    print({messages!r}, flush=True)\n")
    script = "from mindref.bench.workers import Worker; print(Worker({}, {}).receive())"
    arguments = [sys.executable, "-c", script]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "{'who': 'the copy'}\n", done.stderr


def test_files_in_the_current_folder_shadow_no_library_but_may_be_backends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("random.py").write_text("raise ValueError", encoding="utf-8")
    Path("own.py").write_text("from mindref.backend import NumpyBackend as Own", encoding="utf-8")
    with WorkerPool() as pool:
        assert start_worker(pool, "numpy"), pool.reasons
        assert start_worker(pool, "own:Own"), pool.reasons


class RecordingTasks:
    """Records the bursts that are run."""

    def __init__(self):
        self.done = []

    def burst(self, task, steps):
        def run():
            self.done.append((task, steps))
            sleep(0.01)

        return run


@pytest.mark.parametrize(("lead", "least", "most"), [(0.0, 1, 1), (0.1, 2, 11)])
@pytest.mark.slow
def test_untimed_steps_run_before_a_burst(lead, least, most):
    state = object.__new__(WorkerState)
    state.tasks = RecordingTasks()
    state.run("step", 7, lead)
    *before, timed = state.tasks.done
    assert least <= len(before) <= most
    assert {*before} == {("step", 1)}
    assert timed == ("step", 7)
    state.tasks.done.clear()
    state.run("inference", 1, lead)
    assert state.tasks.done == [("inference", 1)]


def test_a_worker_survives_an_error_but_not_an_exit():
    failing, leaving = f"{HERE}:Failing", f"{HERE}:Leaving"
    with WorkerPool() as pool:
        for name in (failing, leaving):
            assert start_worker(pool, name) is not None
        with pytest.raises(WorkerFailed, match="something of its own"):
            begin_step(pool, failing)
        assert pool.request(failing, do="end").keys() == {"memory"}
        with pytest.raises(WorkerFailed, match="its process ended with 3: out of here"):
            begin_step(pool, leaving)
        assert pool.usable() == [failing]


def test_ctrl_c_kills_all_workers():
    name = f"{HERE}:Sleeping"
    workers = []

    def interrupted():
        with WorkerPool() as pool:
            for first in (name, "numpy"):
                assert start_worker(pool, first) is not None
            workers.extend(pool.workers.values())
            pool.workers[name].send(BEGIN)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [worker.process.returncode for worker in workers] == [-9, -9]


def test_a_worker_ends_when_its_parent_is_killed():
    script = f"""
import os
from mindref.bench.workers import Worker
from tests.bench.test_workers import BEGIN, SMALL, thread_environment, worker_job
worker = Worker(worker_job({f"{HERE}:Sleeping"!r}, SMALL, ()), thread_environment("numpy", 1))
worker.receive()
worker.send(BEGIN)
os.dup2(2, 1)
print(worker.process.pid, file=__import__("sys").stderr, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9
    assert wait_for_end(int(done.stderr))


def wait_for_end(pid):
    """Wait for the end of a process that is not a child of this one."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        sleep(0.1)
    os.kill(pid, 9)
    return False
