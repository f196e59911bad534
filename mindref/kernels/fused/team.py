"""Threads that do the tasks of one phase after the other.

Every thread takes the next task until none is left. Whoever does the last of a phase begins the
next one, while the others wait for its tasks: going back to the caller in between would wake two
threads instead of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Lock

import numpy as np

Task = Callable[[], None]
Phase = Callable[[], Iterable[Task]]
"""Says its tasks, once all of the phase before are done."""


class Team:
    """What the threads of one call share."""

    def __init__(self, phases: Iterator[Phase], threads: int) -> None:
        """Begin the first phase."""
        self.phases, self.threads = phases, threads
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.lock, self.open = Lock(), 0  # tasks that are not done
        self.inside = 0  # threads at work, but for the caller, who alone hears Ctrl-C
        self.gone: SimpleQueue[None] = SimpleQueue()  # a word of each of them that has left
        self.errors: list[BaseException] = []
        self.stopped = self.finished = False  # finished: all phases are done, none went wrong
        self.begin()

    def leave(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the phase under way, for any thread, while one of its tasks is not done."""
        more = list(tasks)
        with self.lock:
            self.open += len(more)
        for task in more:
            self.tasks.put(task)

    def begin(self) -> None:
        """Begin the next phase that has tasks, or let all go."""
        for phase in self.phases:
            tasks = list(phase())
            if tasks:
                self.leave(tasks)
                return
        self.finished = True
        self.stop()

    def stop(self) -> None:
        """Let no thread begin another task."""
        self.stopped = True
        for _ in range(self.threads):
            self.tasks.put(None)

    def work(self) -> None:
        """Do tasks until there are none; when one raises, nobody begins another."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # a thread has its own settings
                while (task := self.tasks.get()) is not None and not self.stopped:
                    task()
                    del task  # it holds what its phase holds
                    self.close()
        except BaseException as error:
            self.errors.append(error)
            self.stop()

    def help(self) -> None:
        """Do tasks in a thread that is not the caller's."""
        with self.lock:
            self.inside += 1
        try:
            self.work()
        finally:
            with self.lock:
                self.inside -= 1
            self.gone.put(None)

    def close(self) -> None:
        """Say that a task is done."""
        with self.lock:
            self.open -= 1
            last = self.open == 0
        if last and not self.stopped:
            self.begin()

    def join(self) -> None:
        """Wait until no other is at work; raise what went wrong first. Ctrl-C is heard then.

        Tasks write to buffers that the next caller will have, so the caller does not leave while
        one is at work. Who comes later finds that the team has stopped.
        """
        while not self.finished:  # else no task is left, and the others go by themselves
            try:
                self.stop()
                while self.inside > 0:
                    self.gone.get()
                break
            except KeyboardInterrupt as interrupt:
                self.errors.append(interrupt)
        if self.errors:
            raise self.errors[0]
