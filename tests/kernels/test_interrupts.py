"""Ctrl-C and errors while threads are at work: heard, nobody waits, and nobody writes after it."""

from __future__ import annotations

import gc
from signal import SIGINT, pthread_kill, raise_signal
from threading import Barrier, Lock, Thread, current_thread, get_ident
from time import sleep
from typing import Any

import pytest

from mindref.kernels.fused import team
from mindref.kernels.fused.team import Team
from mindref.kernels.fused.workspace import Workspace


class Stopping:
    """Work for 2000 blocks that goes wrong in one thread, once all threads are at work."""

    def __init__(self, error: BaseException, threads: int, *, in_caller: bool) -> None:
        self.error, self.in_caller, self.caller = error, in_caller, current_thread()
        self.all_at_work, self.lock = Barrier(threads), Lock()
        self.begun, self.running, self.met = 0, 0, set[Any]()

    def __call__(self, block: int) -> None:
        me = current_thread()
        with self.lock:
            self.begun, self.running = self.begun + 1, self.running + 1
        try:
            if me not in self.met:
                self.met.add(me)
                self.all_at_work.wait(timeout=30)
                if self.goes_wrong(me):
                    raise self.error
            sleep(0.002)
        finally:
            with self.lock:
                self.running -= 1

    def goes_wrong(self, me: Any) -> bool:
        return (me is self.caller) == self.in_caller


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("in_caller", [True, False], ids=["in the caller", "in the others"])
def test_when_one_thread_fails_the_others_stop_at_their_next_block(
    error: BaseException, in_caller: bool
) -> None:
    pool, work = Workspace(3), Stopping(error, 3, in_caller=in_caller)
    with pytest.raises(type(error)):
        pool.each(work, range(2000))
    assert work.running == 0, "nobody writes to the buffers once the caller has them back"
    begun = work.begun
    assert begun < 1000, "what was not begun is left undone"
    sleep(0.02)
    assert work.begun == begun
    done: list[int] = []
    pool.each(done.append, range(9))
    assert sorted(done) == list(range(9)), "the threads are ready for the next caller"


@pytest.mark.rules("backend-R12")
def test_a_signal_while_the_caller_waits_for_the_others_is_heard_when_they_are_done() -> None:
    pool, caller, running = Workspace(2), get_ident(), [0]

    def work(block: int) -> None:
        if get_ident() == caller:
            while not running[0]:
                sleep(0.001)
            return
        running[0] += 1
        for _ in range(3):  # one may be lost on a busy machine, in a callback of the collector
            sleep(0.05)  # by now the caller has no block left, and waits
            pthread_kill(caller, SIGINT)
        sleep(0.05)
        running[0] -= 1

    with pytest.raises(KeyboardInterrupt):
        pool.each(work, range(2))
    assert running == [0]


@pytest.mark.rules("backend-R12")
def test_no_interrupt_is_lost_nor_makes_anybody_wait_for_ever() -> None:
    """Wherever it falls: between two tasks, while the caller waits, before others have begun."""
    pool, caller, running, heard = Workspace(3), get_ident(), [0], 0
    lock = Lock()

    def work(block: int) -> None:
        if get_ident() == caller:
            sleep(0.0001 * (block % 3))
            return
        with lock:
            running[0] += 1
        sleep(0.0001 * (block % 3))
        with lock:
            running[0] -= 1

    def disturb(after: float) -> None:
        sleep(after)
        pthread_kill(caller, SIGINT)

    gc.disable()  # one that comes in a callback of the collector is lost, whoever waits
    try:
        for turn in range(60):
            thread = Thread(target=disturb, args=(turn * 2e-5,))
            try:
                thread.start()
                pool.each(work, range(12))
                thread.join()
                sleep(0.001)
            except KeyboardInterrupt:
                heard += 1
            thread.join()
            assert running == [0], "somebody is at work"
    finally:
        gc.enable()
    assert heard == 60
    done: list[int] = []
    pool.each(done.append, range(9))
    assert sorted(done) == list(range(9))


class InMoments:
    """A lock whose holder is interrupted once, if it is the caller: before a use, or after it."""

    def __init__(self, caller: int, use: int, *, before: bool) -> None:
        self.lock, self.caller, self.use, self.before = Lock(), caller, use, before

    def __enter__(self) -> None:
        self.interrupt(now=self.before)
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()
        self.interrupt(now=not self.before)

    def interrupt(self, *, now: bool) -> None:
        if now and get_ident() == self.caller:
            self.use -= 1
            if self.use == 0:
                raise_signal(SIGINT)


@pytest.mark.parametrize("use", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("goes_wrong", [True, False])
def test_an_interrupt_beside_a_lock_is_heard_and_nobody_waits(
    use: int, before: bool, goes_wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, running = get_ident(), [0]

    def work(block: int) -> None:
        if get_ident() != caller:
            running[0] += 1
            sleep(0.01)
            running[0] -= 1
        elif goes_wrong:
            raise ZeroDivisionError

    pool = Workspace(2)
    monkeypatch.setattr(team, "Lock", lambda: InMoments(caller, use, before=before))
    never = goes_wrong and use > 1  # whose task goes wrong has used the lock once, to leave tasks
    with pytest.raises(ZeroDivisionError if never else KeyboardInterrupt):
        pool.each(work, range(6))
    assert running == [0]
    monkeypatch.undo()
    done: list[int] = []
    pool.each(done.append, range(9))
    assert sorted(done) == list(range(9))


@pytest.mark.rules("backend-R12")
def test_an_interrupt_before_the_wait_for_the_others_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, caller, running, waited = Workspace(2), get_ident(), [0], list[int]()
    join = Team.join

    def interrupted(self: Team) -> None:
        waited.append(1)
        if len(waited) == 1:
            raise_signal(SIGINT)
        join(self)

    def work(block: int) -> None:
        if get_ident() == caller:
            while not running[0]:
                sleep(0.001)
            raise ZeroDivisionError
        running[0] += 1
        sleep(0.05)
        running[0] -= 1

    monkeypatch.setattr(Team, "join", interrupted)
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        pool.each(work, range(2))
    assert running == [0]
    assert len(waited) == 2


def test_an_interrupt_before_the_caller_is_at_work_is_no_other_error() -> None:
    """The others are at work by then, and may leave more; they are let, and waited for."""
    pool, left = Workspace(2), list[int]()

    class Interrupted:
        def __init__(self, jobs: Any) -> None:
            self.jobs = jobs

        def put(self, job: Any) -> None:
            self.jobs.put(job)
            sleep(0.02)
            raise_signal(SIGINT)

    def task() -> None:
        sleep(0.1)
        pool.leave([lambda: None])
        left.append(1)

    others, pool.others = pool.others, [Interrupted(jobs) for jobs in pool.others]  # type: ignore[misc]
    with pytest.raises(KeyboardInterrupt):
        pool.run([lambda: [task]])
    assert left == [1]
    assert pool.team is None
    pool.others = others
    done: list[int] = []
    pool.each(done.append, range(9))
    assert sorted(done) == list(range(9))
