"""Usable cores below a limit, and the number of BLAS threads during `MIND.fit`."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mindref import MIND
from mindref.process import threads
from mindref.recommender.callbacks import Callback

SMALL = {"steps": 2, "batch": 16, "negatives": 16, "width": 8}


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
    """Return the number of BLAS threads during a step."""
    seen = []

    class ThreadCounter(Callback):
        def on_step(self, step, loss):
            seen.append(blas_threads())

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


class Stop(Callback):
    def on_step(self, step, loss):
        raise RuntimeError("stop")


def test_after_an_error_in_fit_the_number_is_restored():
    with threadpool_limits(2, "blas"):
        with pytest.raises(RuntimeError, match="stop"):
            MIND(**SMALL).fit(users=30, callbacks=[Stop()])
        assert blas_threads() == {2}
