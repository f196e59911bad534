"""The same bytes with any number of threads, and with buffers that earlier batches used."""

import gc
import os
from threading import Barrier
from time import sleep
from weakref import ref

import numpy as np
import pytest

from mindref.conformance.runner.call import Call
from mindref.errors import ConfigError
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import BLOCK_USERS
from mindref.kernels.fused.workspace import KernelWorkspace
from tests.backends.families import (
    ITEM_VOTES,
    WITH_LAYERS,
    large_mean_world,
    large_plus_world,
    level_results,
)
from tests.kernels.cases import (
    first_users,
    large_world,
    model_calls,
    numba_implementation,
    run_blocks,
    run_python,
)
from tests.models.worlds import world

OTHER = {"dtype": "float64", "routing_gradient": "all", "normalise": True, "power": 2.0}
SETTINGS = [{"dtype": "float32"}, pytest.param(OTHER, marks=pytest.mark.slow)]


def model_answers(w, subject):
    """Return loss and gradients, interests, and the state after three steps."""
    return [subject.answer(call) for call in model_calls(w)]


def as_bytes(results):
    return [{name: x.tobytes() for name, x in answer.items()} for answer in results]


WORLDS = {
    "mind": lambda: large_world(dtype="float32"),
    "exact mind": lambda: large_world(**OTHER),
    "best": lambda: large_plus_world(dtype="float32", **WITH_LAYERS),
    "sparse": lambda: large_plus_world(dtype="float32", **ITEM_VOTES, dropout=0.5),
    "mean": lambda: large_mean_world(recency=False),
    "recency": lambda: large_mean_world(recency=True),
}
SLOW = pytest.param("exact mind", marks=pytest.mark.slow)


@pytest.mark.rules("numerics-R8")
@pytest.mark.parametrize("name", [SLOW if name == "exact mind" else name for name in WORLDS])
def test_the_number_of_threads_changes_no_byte(name):
    w = WORLDS[name]()
    one_thread = level_results(w, NumbaBackend(1))
    for threads in (2, 3):
        backend = NumbaBackend(threads)
        for _ in range(3):  # the order of threads varies
            assert level_results(w, backend) == one_thread, f"{threads} threads"


@pytest.mark.parametrize("word", ["0", "-1", "two", "1025", "1.5"])
def test_the_number_of_threads_is_read_from_the_environment(word, monkeypatch):
    monkeypatch.setenv("MINDREF_THREADS", "3")
    assert NumbaBackend().workspace().threads == 3
    monkeypatch.setenv("MINDREF_THREADS", word)
    with pytest.raises(ConfigError, match="MINDREF_THREADS: expected a number of threads from 1"):
        NumbaBackend().workspace()
    monkeypatch.setenv("MINDREF_THREADS", "")
    assert NumbaBackend().workspace().threads == 1
    monkeypatch.delenv("MINDREF_THREADS")
    assert NumbaBackend().workspace().threads == 1


def test_a_phase_starts_when_the_phase_before_is_done():
    """Including the tasks that tasks submit; a phase without tasks is skipped."""
    work, done, both = KernelWorkspace(3), list[str](), Barrier(2)

    def slow(word):
        both.wait(timeout=30)
        sleep(0.02)
        done.append(word)

    def submit_two():
        work.submit([lambda: done.append("submitted"), lambda: done.append("submitted")])
        slow("first")

    def second():
        assert sorted(done) == ["first", "first", "submitted", "submitted"]
        return [lambda: done.append("second")] * 5

    work.run_phases([lambda: [submit_two, lambda: slow("first")], list, second, lambda: []])
    assert done[4:] == ["second"] * 5
    done.clear()
    work.run_phases([lambda: [lambda: done.append("again")]])
    assert done == ["again"], "no task of the call before runs again"


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_between_two_phases_is_raised_and_stops_the_run(threads):
    work, done = KernelWorkspace(threads), list[int]()

    def failing_phase():
        raise ZeroDivisionError("between")

    for before in ([lambda: done.append(1)] * 4, []):  # raised in the last task, or at once
        with pytest.raises(ZeroDivisionError, match="between"):
            work.run_phases(
                [lambda tasks=before: tasks, failing_phase, lambda: [lambda: done.append(2)]]
            )
    assert done == [1] * 4
    run_blocks(work, done.append, range(9))
    assert sorted(done[4:]) == list(range(9)), "the threads are ready for the next caller"


@pytest.mark.slow
def test_an_unreferenced_workspace_is_freed_at_once():
    """Not by the collector of cycles, which does not know the size of arrays."""
    w = large_world(dtype="float32")

    def used_workspace():
        backend = NumbaBackend()
        state = backend.init(w.params, w.config)
        backend.step(state, w.batch, w.catalogue, w.config, 0.01)
        backend.interests(w.params, w.batch.histories, w.catalogue, w.config)
        return ref(backend.workspace())

    used_workspace()  # compilation retains objects
    gc.collect()
    gc.disable()
    try:
        assert used_workspace()() is None
    finally:
        gc.enable()


FORKED = """
import os, signal, sys, warnings
import numpy as np
from mindref.kernels.backend import NumbaBackend
from tests.kernels.cases import large_world
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork with threads
w, backend = large_world(dtype="float32"), NumbaBackend()
arguments = (w.params, w.batch.histories, w.catalogue, w.config)
before = backend.interests(*arguments)[0]
assert backend.workspace().threads == 2
backend.lock.acquire()  # as if another thread used it
child = os.fork()
if child == 0:
    signal.alarm(20)
    same = [np.array_equal(backend.interests(*arguments)[0], before) for _ in range(2)]
    os._exit(0 if all(same) else 3)
_, status = os.waitpid(child, 0)
backend.lock.release()
assert np.array_equal(backend.interests(*arguments)[0], before)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.slow
def test_a_forked_child_has_new_threads():
    done = run_python("-c", FORKED, check=False, MINDREF_THREADS="2")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.rules("numerics-R8", "backend-R12")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.slow
def test_results_do_not_depend_on_earlier_batches(threads):
    """Large, small, other widths or dtypes, empty histories: as in a new workspace."""
    rng = np.random.default_rng
    small = {"routing_gradient": "all", "power": 2.0}
    worlds = [
        large_world(dtype="float32"),
        large_world(BLOCK_USERS + 2, negatives=3, length=4, dtype="float32"),
        first_users(large_world(negatives=1, dtype="float32"), 1),
        large_world(9, negatives=300, interests=3, width=11, dtype="float64", normalise=True),
        world(rng(0), (4, 6, 3, 5), np.zeros((4, 6), bool), **small),
        world(rng(1), (4, 6, 3, 5), **small),
        world(rng(1), (4, 6, 3, 5), dtype="float32", routing="uniform", **small),
        first_users(large_world(dtype="float32"), 1),
        large_world(dtype="float32"),
    ]
    shared = numba_implementation(threads)
    for n, w in enumerate(worlds):
        expected = as_bytes(model_answers(w, numba_implementation()))
        assert as_bytes(model_answers(w, shared)) == expected, f"world {n} after those before it"


@pytest.mark.rules("numerics-R8", "backend-R12")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_nan_in_buffers_does_not_affect_later_batches(settings):
    """NaN stays in the buffers; no product may add to the old content."""
    w, shared = large_world(**settings), numba_implementation()
    nan_world = w.with_params(items=w.params.items * np.nan)
    for question in model_calls(nan_world):
        shared.answer(question)
    buffers = shared.backend.workspace().buffers
    assert np.isnan(buffers["votes"]).any()
    assert np.isnan(buffers["products"]).any()
    assert as_bytes(model_answers(w, shared)) == as_bytes(model_answers(w, numba_implementation()))


@pytest.mark.rules("backend-R12")
def test_returned_arrays_are_not_overwritten():
    subject = numba_implementation()
    w = large_world(dtype="float32")
    results = model_answers(w, subject)
    before = as_bytes(results)
    other = large_world(BLOCK_USERS + 2, dtype="float32", routing_gradient="all")
    model_answers(other.with_params(items=-other.params.items), subject)
    assert as_bytes(results) == before
    buffers = subject.backend.workspace().buffers.values()
    for answer in results:
        assert not any(np.shares_memory(x, y) for x in answer.values() for y in buffers)


@pytest.mark.rules("numerics-R7")
@pytest.mark.slow
def test_inputs_are_unchanged_and_may_be_read_only():
    w = large_world(dtype="float32", normalise=True)
    arrays = [*w.arrays(), *w.catalogue]
    before = [x.tobytes() for x in arrays]
    for x in arrays:
        x.flags.writeable = False
    model_answers(w, numba_implementation(2))
    assert [x.tobytes() for x in arrays] == before


@pytest.mark.rules("model-R6")
def test_inactive_interests_are_zero_after_a_larger_batch():
    subject = numba_implementation()
    for length in (20, 2):  # the second batch has fewer active interests
        w = large_world(length=length, dtype="float32")
        arrays = {"params": w.params, "histories": w.batch.histories, "catalogue": w.catalogue}
        result = subject.answer(Call("interests", arrays, {"config": w.config}))
        assert (~result["active"]).any()
        assert not result["interests"][~result["active"]].any()
