"""Ctrl-C and errors in threads: raised, no deadlock, and no write after the call returns."""

import gc
from signal import SIGINT, pthread_kill, raise_signal
from threading import Barrier, Lock, Thread, current_thread, get_ident
from time import sleep
from typing import Any

import pytest

from mindref.kernels.fused import workspace
from mindref.kernels.fused.workspace import KernelWorkspace, ThreadPool
from tests.kernels.cases import run_blocks


class FailingWork:
    """A function for 2000 blocks that fails in one thread, once all threads are running."""

    def __init__(self, error, threads, *, in_caller):
        self.error, self.in_caller, self.caller = error, in_caller, current_thread()
        self.all_running, self.lock = Barrier(threads), Lock()
        self.started, self.running, self.seen = 0, 0, set[Any]()

    def __call__(self, block):
        thread = current_thread()
        with self.lock:
            self.started, self.running = self.started + 1, self.running + 1
        try:
            if thread not in self.seen:
                self.seen.add(thread)
                self.all_running.wait(timeout=30)
                if self.fails_in(thread):
                    raise self.error
            sleep(0.002)
        finally:
            with self.lock:
                self.running -= 1

    def fails_in(self, thread):
        return (thread is self.caller) == self.in_caller


def check_ready(pool):
    """Require that the threads are ready for the next caller."""
    done = []
    run_blocks(pool, done.append, range(9))
    assert sorted(done) == list(range(9))


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("in_caller", [True, False], ids=["in the caller", "in a worker"])
def test_after_an_error_no_thread_starts_another_block(error, in_caller):
    pool, work = KernelWorkspace(3), FailingWork(error, 3, in_caller=in_caller)
    with pytest.raises(type(error)):
        run_blocks(pool, work, range(2000))
    assert work.running == 0, "no thread writes to the buffers after the call"
    started = work.started
    assert started < 1000, "the remaining blocks are not started"
    sleep(0.02)
    assert work.started == started
    check_ready(pool)


@pytest.mark.rules("backend-R12")
def test_an_interrupt_during_join_is_raised_after_the_workers_finish():
    pool, caller, running = KernelWorkspace(2), get_ident(), [0]

    def work(block):
        if get_ident() == caller:
            while not running[0]:
                sleep(0.001)
            return
        running[0] += 1
        for _ in range(3):  # one may be lost in a callback of the garbage collector
            sleep(0.05)  # by now the caller waits in join
            pthread_kill(caller, SIGINT)
        sleep(0.05)
        running[0] -= 1

    with pytest.raises(KeyboardInterrupt):
        run_blocks(pool, work, range(2))
    assert running == [0]


@pytest.mark.rules("backend-R12")
def test_no_interrupt_is_lost_or_causes_a_deadlock():
    """At any time: between two tasks, while the caller waits, before the workers start."""
    pool, caller, running, interrupts = KernelWorkspace(3), get_ident(), [0], 0
    lock = Lock()

    def work(block):
        if get_ident() == caller:
            sleep(0.0001 * (block % 3))
            return
        with lock:
            running[0] += 1
        sleep(0.0001 * (block % 3))
        with lock:
            running[0] -= 1

    def interrupt_after(delay):
        sleep(delay)
        pthread_kill(caller, SIGINT)

    gc.disable()  # Python drops an interrupt in a callback of the garbage collector
    try:
        for attempt in range(60):
            thread = Thread(target=interrupt_after, args=(attempt * 2e-5,))
            try:
                thread.start()
                run_blocks(pool, work, range(12))
                thread.join()
                sleep(0.001)
            except KeyboardInterrupt:
                interrupts += 1
            thread.join()
            assert running == [0], "a worker is running"
    finally:
        gc.enable()
    assert interrupts == 60
    check_ready(pool)


class InterruptingLock:
    """A lock that raises SIGINT once, in the caller: before or after a given use."""

    def __init__(self, caller, use, *, before):
        self.lock, self.caller, self.use, self.before = Lock(), caller, use, before

    def __enter__(self):
        self.interrupt(now=self.before)
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()
        self.interrupt(now=not self.before)

    def interrupt(self, *, now):
        if now and get_ident() == self.caller:
            self.use -= 1
            if self.use == 0:
                raise_signal(SIGINT)


@pytest.mark.parametrize("use", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("task_fails", [True, False])
def test_an_interrupt_before_or_after_a_lock_is_raised_without_deadlock(
    use, before, task_fails, monkeypatch
):
    caller, running = get_ident(), [0]

    def work(block):
        if get_ident() != caller:
            running[0] += 1
            sleep(0.01)
            running[0] -= 1
        elif task_fails:
            raise ZeroDivisionError

    pool = KernelWorkspace(2)
    monkeypatch.setattr(workspace, "Lock", lambda: InterruptingLock(caller, use, before=before))
    no_interrupt = task_fails and use > 1  # a failing caller uses the lock once
    with pytest.raises(ZeroDivisionError if no_interrupt else KeyboardInterrupt):
        run_blocks(pool, work, range(6))
    assert running == [0]
    monkeypatch.undo()
    check_ready(pool)


@pytest.mark.rules("backend-R12")
def test_an_interrupt_before_join_does_not_skip_join(monkeypatch):
    pool, caller, running, joins = KernelWorkspace(2), get_ident(), [0], list[int]()
    join = ThreadPool.join

    def interrupted(self):
        joins.append(1)
        if len(joins) == 1:
            raise_signal(SIGINT)
        join(self)

    def work(block):
        if get_ident() == caller:
            while not running[0]:
                sleep(0.001)
            raise ZeroDivisionError
        running[0] += 1
        sleep(0.05)
        running[0] -= 1

    monkeypatch.setattr(ThreadPool, "join", interrupted)
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        run_blocks(pool, work, range(2))
    assert running == [0]
    assert len(joins) == 2


def test_an_interrupt_before_the_first_task_is_raised_as_an_interrupt():
    """Workers may run by then, and submit tasks; the caller waits for them."""
    pool, finished = KernelWorkspace(2), list[int]()

    class Interrupted:
        def __init__(self, jobs):
            self.jobs = jobs

        def put(self, job):
            self.jobs.put(job)
            sleep(0.02)
            raise_signal(SIGINT)

    def task():
        sleep(0.1)
        pool.submit([lambda: None])
        finished.append(1)

    queues, pool.queues = pool.queues, [Interrupted(jobs) for jobs in pool.queues]  # type: ignore[misc]
    with pytest.raises(KeyboardInterrupt):
        pool.run_phases([lambda: [task]])
    assert finished == [1]
    assert pool.pool is None
    pool.queues = queues
    check_ready(pool)
