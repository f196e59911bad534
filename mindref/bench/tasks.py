"""The timed tasks of a contender."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from mindref.bench.contenders import Contender
from mindref.bench.workload import NUM_BATCHES, Workload


class ContenderTasks:
    """The tasks of one contender on one workload."""

    def __init__(self, contender: Contender, workload: Workload) -> None:
        self.contender, self.workload = contender, workload
        self.counter = count()
        self.users: Any = None
        self.functions: dict[str, Callable[[], Any]] = {
            "step": self.step,
            "inference": self.inference,
            "evaluation": self.evaluation,
            "recall": self.recall,
        }

    def step(self) -> Any:
        """Take a step with the next batch."""
        return self.contender.step(next(self.counter) % NUM_BATCHES)

    def inference(self) -> Any:
        """Return the interests of all users."""
        return self.contender.interests(self.workload.histories)

    def evaluation(self) -> Any:
        """Return interests, then the top-n items without seen items, of all users."""
        users = self.contender.interests(self.workload.histories)
        return self.contender.top(users, self.workload.settings.top, self.workload.histories)

    def recall(self) -> Any:
        """Return the top-n items of all users from given interests."""
        if self.users is None:
            self.users = self.inference()
        return self.contender.top(self.users, self.workload.settings.top, None)

    def warm_up(self, task: str, times: int, limit: float) -> float:
        """Run a task untimed, so that everything is compiled; return a summary of the first result.

        A step goes through all batches each time, because a framework may compile for each batch
        size. The warm-up stops after `limit` seconds. The summary is compared between contenders:
        see `summarise_answer`.
        """
        started = time.perf_counter()
        first = summarise_answer(self.functions[task]())
        for _ in range(times * (NUM_BATCHES if task == "step" else 1) - 1):
            if time.perf_counter() - started > limit:
                break
            self.functions[task]()
        return first

    def burst(self, task: str, steps: int) -> Callable[[], None]:
        """Return the function to time in a round: `steps` steps, or one run of another task."""
        work, repeats = self.functions[task], steps if task == "step" else 1

        def run() -> None:
            for _ in range(repeats):
                work()

        return run


def summarise_answer(answer: Any) -> float:
    """Return a number that identifies a result: the loss, or the mean size of the interests.

    For lists of items it is their length, because the order of equal scores may differ.
    """
    if isinstance(answer, tuple):  # interests and active
        return float(np.abs(np.asarray(answer[0], np.float64)).mean())
    values = np.asarray(answer)
    return float(values) if values.ndim == 0 else float(values.size)
