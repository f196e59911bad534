"""The same bytes with any number of threads, and with buffers that other batches have used."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from threading import Barrier
from time import sleep
from typing import Any
from weakref import ref

import numpy as np
import pytest

from mindref.conformance.judging.call import Answer, Call
from mindref.conformance.judging.subject import OfBackend
from mindref.errors import ConfigError
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import USERS
from mindref.kernels.fused.team import Task
from mindref.kernels.fused.workspace import Workspace
from tests.kernels.cases import compiled, crowd, of_users, questions
from tests.models.worlds import World, world
from tests.runs import REPOSITORY

SETTINGS: list[dict[str, Any]] = [
    {"dtype": "float32"},
    {"dtype": "float64", "routing_gradient": "all", "normalise": True, "power": 2.0},
]


def answers(w: World, subject: OfBackend) -> list[Answer]:
    """Return loss and gradients, interests, and what three steps lead to."""
    return [subject.answer(call) for call in questions(w)]


def in_bytes(found: list[Answer]) -> list[dict[str, bytes]]:
    return [{name: x.tobytes() for name, x in answer.items()} for answer in found]


@pytest.mark.rules("numerics-R8")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_number_of_threads_changes_no_byte(settings: dict[str, Any]) -> None:
    w = crowd(**settings)
    alone = in_bytes(answers(w, compiled(1)))
    for threads in (2, 3):
        subject = compiled(threads)
        for _ in range(3):  # who is first among threads is up to the machine
            assert in_bytes(answers(w, subject)) == alone, f"{threads} threads"


@pytest.mark.parametrize("word", ["0", "-1", "two", "", "1.5"])
def test_the_number_of_threads_is_that_of_the_variable(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINDREF_THREADS", "3")
    assert NumbaBackend().work().threads == 3
    monkeypatch.setenv("MINDREF_THREADS", word)
    with pytest.raises(ConfigError, match="MINDREF_THREADS: expected a number of threads from 1"):
        NumbaBackend().work()
    monkeypatch.delenv("MINDREF_THREADS")
    assert NumbaBackend().work().threads == 1


def test_work_is_shared_and_what_a_thread_raises_is_raised() -> None:
    work = Workspace(3)
    done: list[int] = []
    work.each(done.append, iter(range(40)))
    assert sorted(done) == list(range(40))
    with pytest.raises(ZeroDivisionError):
        work.each(lambda n: 1 // n, iter([1, 0]))


def test_a_phase_begins_when_all_of_the_one_before_is_done() -> None:
    """With what tasks have left for others; a phase without tasks is passed over."""
    work, done, both = Workspace(3), list[str](), Barrier(2)

    def slow(word: str) -> None:
        both.wait(timeout=30)
        sleep(0.02)
        done.append(word)

    def leaves() -> None:
        work.leave([lambda: done.append("left"), lambda: done.append("left")])
        slow("first")

    def second() -> list[Task]:
        assert sorted(done) == ["first", "first", "left", "left"]
        return [lambda: done.append("second")] * 5

    work.run([lambda: [leaves, lambda: slow("first")], list, second, lambda: []])
    assert done[4:] == ["second"] * 5
    done.clear()
    work.run([lambda: [lambda: done.append("again")]])
    assert done == ["again"], "nothing is left of the call before"


@pytest.mark.parametrize("threads", [1, 3])
def test_what_goes_wrong_between_two_phases_is_raised_and_no_other_begins(threads: int) -> None:
    work, done = Workspace(threads), list[int]()

    def wrong() -> list[Task]:
        raise ZeroDivisionError("between")

    for before in ([lambda: done.append(1)] * 4, []):  # found by whoever is last, or at once
        with pytest.raises(ZeroDivisionError, match="between"):
            work.run([lambda tasks=before: tasks, wrong, lambda: [lambda: done.append(2)]])
    assert done == [1] * 4
    work.each(done.append, range(9))
    assert sorted(done[4:]) == list(range(9)), "the threads are ready for the next caller"


@pytest.mark.slow
def test_what_nobody_has_any_more_is_gone_at_once() -> None:
    """Not when the collector of cycles comes, which knows nothing of the memory of arrays."""
    w = crowd(dtype="float32")

    def used() -> Any:
        backend = NumbaBackend()
        state = backend.init(w.params, w.config)
        backend.step(state, w.batch, w.catalogue, w.config, 0.01)
        backend.interests(w.params, w.batch.histories, w.catalogue, w.config)
        return ref(backend.work())

    used()  # what compiles holds on to much
    gc.collect()
    gc.disable()
    try:
        assert used()() is None
    finally:
        gc.enable()


FORKED = """
import os, signal, sys, warnings
import numpy as np
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.workspace import Workspace
from tests.kernels.cases import crowd
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for a fork beside threads
w, backend = crowd(dtype="float32"), NumbaBackend()
given = (w.params, w.batch.histories, w.catalogue, w.config)
before = backend.interests(*given)[0]
assert backend.work().threads == 2
backend.lock.acquire()  # another thread is at work with it
child = os.fork()
if child == 0:
    signal.alarm(20)
    same = [np.array_equal(backend.interests(*given)[0], before) for _ in range(2)]
    os._exit(0 if all(same) else 3)
_, status = os.waitpid(child, 0)
backend.lock.release()
assert np.array_equal(backend.interests(*given)[0], before)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.slow
def test_the_child_of_a_fork_has_threads_of_its_own() -> None:
    env = {**os.environ, "MINDREF_THREADS": "2"}
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.rules("numerics-R8", "backend-R12")
@pytest.mark.parametrize("threads", [1, 2])
def test_no_batch_leaves_a_trace(threads: int) -> None:
    """Large, small, other widths, another type, nobody with behaviours: each is as if alone."""
    rng = np.random.default_rng
    small = {"routing_gradient": "all", "power": 2.0}
    worlds = [
        crowd(dtype="float32"),
        crowd(USERS + 2, negatives=3, length=4, dtype="float32"),
        of_users(crowd(negatives=1, dtype="float32"), 1),
        crowd(9, negatives=300, interests=3, width=11, dtype="float64", normalise=True),
        world(rng(0), (4, 6, 3, 5), np.zeros((4, 6), bool), **small),
        world(rng(1), (4, 6, 3, 5), **small),
        world(rng(1), (4, 6, 3, 5), dtype="float32", routing="uniform", **small),
        of_users(crowd(dtype="float32"), 1),
        crowd(dtype="float32"),
    ]
    shared = compiled(threads)
    for n, w in enumerate(worlds):
        expected = in_bytes(answers(w, compiled()))
        assert in_bytes(answers(w, shared)) == expected, f"world {n} after those before it"


@pytest.mark.rules("numerics-R8", "backend-R12")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_no_number_leaves_no_trace(settings: dict[str, Any]) -> None:
    """It stays in the buffers; no product may add to what it finds there."""
    w, shared = crowd(**settings), compiled()
    lost = w._replace(params=w.params._replace(items=w.params.items * np.nan))
    for question in questions(lost):
        shared.answer(question)
    kept = shared.backend.work().buffers
    assert np.isnan(kept["votes"]).any()
    assert np.isnan(kept["p"]).any()
    assert in_bytes(answers(w, shared)) == in_bytes(answers(w, compiled()))


@pytest.mark.rules("backend-R12")
def test_what_was_returned_is_not_overwritten() -> None:
    subject = compiled()
    w = crowd(dtype="float32")
    found = answers(w, subject)
    before = in_bytes(found)
    other = crowd(USERS + 2, dtype="float32", routing_gradient="all")
    answers(other._replace(params=other.params._replace(items=-other.params.items)), subject)
    assert in_bytes(found) == before
    kept = subject.backend.work().buffers.values()
    for answer in found:
        assert not any(np.shares_memory(x, y) for x in answer.values() for y in kept)


@pytest.mark.rules("numerics-R7")
@pytest.mark.slow
def test_inputs_are_left_alone_and_may_be_read_only() -> None:
    w = crowd(dtype="float32", normalise=True)
    arrays = [*w.batch.histories, *w.batch[1:], *w.catalogue, *w.params[:3]]
    arrays += [x for layer in w.params.layers for x in layer]
    before = [x.tobytes() for x in arrays]
    for x in arrays:
        x.flags.writeable = False
    answers(w, compiled(2))
    assert [x.tobytes() for x in arrays] == before


@pytest.mark.rules("model-R6")
def test_interests_of_users_before_are_forgotten() -> None:
    subject = compiled()
    for length in (20, 2):  # the second batch has fewer interests in the same places
        w = crowd(length=length, dtype="float32")
        users = {"params": w.params, "histories": w.batch.histories, "catalogue": w.catalogue}
        found = subject.answer(Call("interests", users, {"config": w.config}))
        assert (~found["active"]).any()
        assert not found["interests"][~found["active"]].any()
