"""Threads that run phases one after another; a phase is a list of tasks that run in any order.

Each thread takes the next task until no task is left. The thread that finishes the last task of a
phase starts the next phase, while the other threads wait for tasks of the next phase. Control does
not return to the caller between phases, because the threads would then have to be woken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Lock

import numpy as np

Task = Callable[[], None]
Phase = Callable[[], Iterable[Task]]
"""A function that returns the tasks of a phase, called when the previous phase is done."""


class ThreadPool:
    """The state that all threads share during one call of `KernelWorkspace.run_phases`."""

    def __init__(self, phases: Iterator[Phase], threads: int) -> None:
        """Start the first phase."""
        self.phases, self.threads = phases, threads
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.lock, self.unfinished = Lock(), 0  # unfinished: number of tasks that are not done
        # number of running threads; the calling thread, which receives Ctrl-C, is not counted
        self.num_workers = 0
        self.exited: SimpleQueue[None] = SimpleQueue()  # one entry for each worker that exited
        self.errors: list[BaseException] = []
        self.stopped = self.finished = False  # finished: all phases are done without an error
        self.start_phase()

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase. Only `start_phase` and running tasks may submit tasks."""
        new = list(tasks)
        with self.lock:
            self.unfinished += len(new)
        for task in new:
            self.tasks.put(task)

    def start_phase(self) -> None:
        """Start the next phase that has tasks. If no phase is left, stop all threads."""
        for phase in self.phases:
            tasks = list(phase())
            if tasks:
                self.submit(tasks)
                return
        self.finished = True
        self.stop()

    def stop(self) -> None:
        """Prevent each thread from starting another task."""
        self.stopped = True
        for _ in range(self.threads):
            self.tasks.put(None)

    def run_tasks(self) -> None:
        """Run tasks until the pool is stopped. An error in a task also stops the pool."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # error settings are per thread
                while (task := self.tasks.get()) is not None and not self.stopped:
                    task()
                    del task  # otherwise the objects of the task would stay in memory
                    self.mark_done()
        except BaseException as error:
            self.errors.append(error)
            self.stop()

    def worker(self) -> None:
        """Run tasks in a thread other than the caller's."""
        with self.lock:
            self.num_workers += 1
        try:
            self.run_tasks()
        finally:
            with self.lock:
                self.num_workers -= 1
            self.exited.put(None)

    def mark_done(self) -> None:
        """Mark a task done; if it was the last task of its phase, start the next phase."""
        with self.lock:
            self.unfinished -= 1
            last = self.unfinished == 0
        if last and not self.stopped:
            self.start_phase()

    def join(self) -> None:
        """Wait until no task is running, then raise the first error. Ctrl-C counts as an error.

        Tasks write to buffers that the next caller uses, so the caller waits for running tasks. A
        worker that starts later runs no task, because the pool is stopped.
        """
        while not self.finished:  # if finished is true, no task is left
            try:
                self.stop()
                while self.num_workers > 0:
                    self.exited.get()
                break
            except KeyboardInterrupt as interrupt:
                self.errors.append(interrupt)
        if self.errors:
            raise self.errors[0]
