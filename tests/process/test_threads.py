"""Variables with numbers of threads, usable cores below a limit, and BLAS threads in `MIND.fit`."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mindref import MIND
from mindref.errors import ConfigError
from mindref.process import threads
from mindref.recommender.callbacks import Callback
from tests.runs import run_python

SMALL = {"steps": 2, "batch": 16, "negatives": 16, "width": 8}


@pytest.mark.rules("faults-R16")
@pytest.mark.parametrize("name", threads.THREAD_VARIABLES)
def test_a_variable_is_a_number_of_threads(name, monkeypatch):
    for other in threads.THREAD_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    threads.check_thread_variables()
    for right in ("", "1", "1024", " 4 ", "0008"):
        monkeypatch.setenv(name, right)
        threads.check_thread_variables()
    for wrong in ("0", "-1", "1025", "1000000000", "abc", "1.5", "٣", "9" * 5000, "00000001025"):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(ConfigError, match=f"{name}: expected a number of threads from 1 to"):
            threads.check_thread_variables()


@pytest.mark.rules("faults-R16")
def test_the_variable_of_openmp_may_be_a_list(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    threads.check_thread_variables()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4,2")
    with pytest.raises(ConfigError, match="OPENBLAS_NUM_THREADS"):
        threads.check_thread_variables()
    monkeypatch.setenv("MINDREF_THREADS", "0")
    message = "MINDREF_THREADS, OPENBLAS_NUM_THREADS: expected .*, got '0', '4,2'; set it"
    with pytest.raises(ConfigError, match=message):
        threads.check_thread_variables()


@pytest.mark.rules("faults-R16")
@pytest.mark.parametrize(
    ("command", "name"),
    [("train", "MINDREF_THREADS"), ("recall none --all-users", "NUMBA_NUM_THREADS"),
     ("similar none x", "OPENBLAS_NUM_THREADS")],
)  # fmt: skip
def test_a_command_ends_before_any_work(cli, command, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "0")
    assert cli.error_line(*command.split()).startswith(f"Error: {name}: expected a number of")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rules("faults-R16")
def test_the_import_of_kernels_is_an_error_of_mindref(tmp_path):
    code = (
        "from mindref.errors import ConfigError\nimport pytest\nwith pytest.raises(ConfigError):\n"
    )
    code += "    import mindref.kernels.squash"

    done = run_python("-c", code, cwd=tmp_path, NUMBA_NUM_THREADS="0")
    assert done.returncode == 0, done.stderr


def blas_threads():
    """Return the numbers of threads of the loaded BLAS libraries."""
    return {row["num_threads"] for row in threadpool_info() if row["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("limit", "affinity", "usable"), [(None, 4, 4), (2.5, 4, 2), (0.5, 4, 1), (8.0, 4, 4)]
)
def test_a_cpu_limit_counts_in_whole_cores(limit, affinity, usable, monkeypatch):
    monkeypatch.setattr(threads, "cgroup_cores", lambda: limit)
    monkeypatch.setattr(threads, "affinity_cores", lambda: affinity)
    assert threads.usable_cores() == usable


def number_in_fit(backend="numba"):
    """Return the number of BLAS threads during a step, in a training that ends with an error."""
    seen = []

    class ThreadCounter(Callback):
        def on_step(self, step, loss):
            seen.append(blas_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        MIND(backend=backend, **SMALL).fit(users=30, callbacks=[ThreadCounter()])
    return seen[0]


def test_fit_limits_blas_to_one_thread_and_restores_the_number(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    threads.import_module("scipy.linalg.cython_blas")
    with threadpool_limits(2, "blas"):
        for backend in ("numba", "numpy"):
            assert number_in_fit(backend) == {1}
            assert blas_threads() == {2}
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
        assert number_in_fit() == {1}
        assert number_in_fit("numpy") == {2}
