"""What is timed, each as a function that needs no arguments."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from mindref.bench.subjects import Subject
from mindref.bench.world import BATCHES, World


class Task(NamedTuple):
    """A task and the unit of its rate."""

    text: str
    rate: str  # how many of these a second


TASKS = {
    "step": Task("a whole training step: loss, gradients, Adam", "examples/s"),
    "inference": Task("interests of the users, from their behaviours", "users/s"),
    "evaluation": Task("interests, then exact ranking without what was seen", "users/s"),
    "recall": Task("the best items by exact search, interests given", "users/s"),
}


class Work:
    """The tasks of one subject in one world."""

    def __init__(self, subject: Subject, world: World) -> None:
        self.subject, self.world = subject, world
        self.turn = count()
        self.users: Any = None
        self.known: dict[str, Callable[[], Any]] = {
            "step": self.step,
            "inference": self.inference,
            "evaluation": self.evaluation,
            "recall": self.recall,
        }

    def step(self) -> Any:
        """Take a step with the next batch."""
        return self.subject.step(next(self.turn) % BATCHES)

    def inference(self) -> Any:
        """Map all users to their interests."""
        return self.subject.interests(self.world.histories)

    def evaluation(self) -> Any:
        """Rank the catalogue for all users, without what they have had."""
        users = self.subject.interests(self.world.histories)
        return self.subject.top(users, self.world.settings.top, self.world.histories)

    def recall(self) -> Any:
        """Search for all users, their interests given."""
        if self.users is None:
            self.users = self.inference()
        return self.subject.top(self.users, self.world.settings.top, None)

    def warm_up(self, task: str, times: int, limit: float) -> float:
        """Run a task before it is timed, so that all is compiled; return what came of the first.

        A step goes through all batches each time: their sizes differ, and a framework may compile
        for each. After `limit` seconds the rest is left out. The number tells whether all subjects
        compute the same: see `summary`.
        """
        started = time.perf_counter()
        first = summary(self.known[task]())
        for _ in range(times * (BATCHES if task == "step" else 1) - 1):
            if time.perf_counter() - started > limit:
                break
            self.known[task]()
        self.subject.wait()
        return first

    def burst(self, task: str, steps: int) -> Callable[[], None]:
        """Return what is timed in a round: `steps` steps, or one run of another task.

        What a framework leaves for later is waited for once, at the end: as in a training, the next
        step may be prepared while one is computed.
        """
        work, repeats = self.known[task], steps if task == "step" else 1

        def run() -> None:
            for _ in range(repeats):
                work()
            self.subject.wait()

        return run


def summary(found: Any) -> float:
    """Return one number that tells answers apart: a loss, or the mean size of what was found.

    Lists of items are counted, not summed: equal scores may stand in another order.
    """
    if isinstance(found, tuple):  # interests and which are active
        return float(np.abs(np.asarray(found[0], np.float64)).mean())
    answer = np.asarray(found)
    return float(answer) if answer.ndim == 0 else float(answer.size)
