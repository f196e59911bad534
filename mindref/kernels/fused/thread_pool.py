"""Threads that run the tasks of one phase after another.

Each thread takes the next task until no task is left. The thread that finishes the last task of a
phase starts the next phase, while the other threads wait for tasks of the next phase. Control does
not return to the caller between phases: a return would cost a second wake-up of a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Lock

import numpy as np

Task = Callable[[], None]
Phase = Callable[[], Iterable[Task]]
"""Returns the tasks of a phase; called when all tasks of the phase before are done."""


class ThreadPool:
    """The state that the threads of one call share."""

    def __init__(self, phases: Iterator[Phase], threads: int) -> None:
        """Start the first phase."""
        self.phases, self.threads = phases, threads
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.lock, self.unfinished = Lock(), 0  # tasks that are not done
        # running workers; the calling thread, which receives Ctrl-C, is not counted
        self.num_workers = 0
        self.exited: SimpleQueue[None] = SimpleQueue()  # one token for each worker that exited
        self.errors: list[BaseException] = []
        self.stopped = self.finished = False  # finished: all phases are done without an error
        self.start_phase()

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase, for any thread; at least one task must be unfinished."""
        new = list(tasks)
        with self.lock:
            self.unfinished += len(new)
        for task in new:
            self.tasks.put(task)

    def start_phase(self) -> None:
        """Start the next phase that has tasks, or stop all threads if there is none."""
        for phase in self.phases:
            tasks = list(phase())
            if tasks:
                self.submit(tasks)
                return
        self.finished = True
        self.stop()

    def stop(self) -> None:
        """Let no thread start another task."""
        self.stopped = True
        for _ in range(self.threads):
            self.tasks.put(None)

    def run_tasks(self) -> None:
        """Run tasks until there are none. After an error, no thread starts another task."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # settings are per thread
                while (task := self.tasks.get()) is not None and not self.stopped:
                    task()
                    del task  # it references the objects of its phase
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
        """Wait until no worker is running, then raise the first error. Ctrl-C counts as an error.

        Tasks write to buffers that the next caller uses, so the caller waits for running tasks. A
        worker that starts later finds the pool stopped.
        """
        while not self.finished:  # if finished, no task is left and the workers exit
            try:
                self.stop()
                while self.num_workers > 0:
                    self.exited.get()
                break
            except KeyboardInterrupt as interrupt:
                self.errors.append(interrupt)
        if self.errors:
            raise self.errors[0]
