"""Distributed training: several processes, started by torchrun, train one model.

Spec: specs/backend.md, backend-R17. Every process takes the same steps. Only rank 0 writes, prints
and validates, and sends the result to the other processes. An error in one process ends all
processes, so that none waits for a process that has exited.

With one process (rank 0 of world size 1) the functions do nothing.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mindref.errors import FOREIGN_ERRORS, BackendError, ConfigError, MindrefError, say

T = TypeVar("T")
Exchange = Callable[[str], list[str]]
"""Return the texts of all processes, ordered by rank; every process must call it."""


class ProcessLost(BackendError):
    """Another process of the training has exited without a message."""


class FailedElsewhere(MindrefError):
    """Another process failed; rank 0 prints the error."""


def environment_number(name: str, default: str, low: int, high: int) -> int:
    """Return an integer from `low` to `high` from the environment. Raises ConfigError for others.

    default: the text of a variable that is not set.
    """
    word = os.environ.get(name, default)
    if not word.isdecimal() or not low <= int(word) <= high:
        requirement, todo = f"an integer from {low} to {high}", "start the processes with torchrun"
        raise ConfigError(
            say(f"{name} in the environment", requirement, repr(word) or "none", todo)
        )
    return int(word)


def join_ranks(backend: Any) -> Ranks:
    """Join the processes of this training and return them; torchrun sets rank and world size.

    Raises BackendError if a backend without distributed steps has several processes (backend-R17).
    """
    world = environment_number("WORLD_SIZE", "1", 1, 1_000_000)
    if world == 1:
        return ONE_PROCESS
    rank = environment_number("RANK", "", 0, world - 1)
    name, world_text = f"backend {backend.name}", f"WORLD_SIZE is {world}"
    shares = inspect.getattr_static(backend, "join", None) is not None
    if not shares or "train" not in backend.capabilities().levels:  # backend-R17
        requirement, got = "one whose step several processes can share", f"none ({world_text})"
        todo = "start one process, or choose another --backend, such as torch"
        raise BackendError(say(name, requirement, got, todo))
    try:
        return Ranks(rank, world, backend.join(rank, world))
    except FOREIGN_ERRORS as error:
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(name, f"process {rank} of {world} to join", got)) from error


class Ranks(NamedTuple):
    """The processes of a training, seen from this one."""

    rank: int = 0  # from 0
    world: int = 1
    exchange: Exchange = lambda word: [word]

    @property
    def first(self) -> bool:
        """Whether this process is rank 0, which writes, prints and validates."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are other processes."""
        return self.world > 1

    def gather(self, value: Any) -> list[Any]:
        """Return the JSON values of all processes. Raises ProcessLost."""
        if not self.several:
            return [value]
        text = json.dumps(value)
        try:
            return [json.loads(word) for word in self.exchange(text)]
        except MindrefError:
            raise
        except FOREIGN_ERRORS as error:
            raise ProcessLost(f"{type(error).__name__}: {error}") from error

    def together(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, called in every process. If it fails in one, all raise.

        Rank 0 raises the error, the other ranks raise FailedElsewhere.
        """
        if not self.several:
            return work()
        try:
            result = work()
        except Exception as error:
            self.gather(error_text(error))
            if self.first:
                raise
            raise FailedElsewhere(error_text(error)) from error
        self.check(self.gather(""))
        return result

    def check(self, failures: list[str]) -> None:
        """Raise the first failure in rank 0, and FailedElsewhere in the other ranks."""
        for rank, failure in enumerate(failures):
            if failure:
                if self.first:
                    raise MindrefError(f"process {rank} of {self.world}: {failure}")
                raise FailedElsewhere(failure)

    def broadcast_from_first(self, work: Callable[[], T]) -> T:
        """Call `work` in rank 0 and return its result, a JSON value, in every process."""
        if not self.several:
            return work()
        result = self.together(lambda: work() if self.first else None)
        answer: T = self.gather(result)[0]
        return answer

    def check_same(self, values: dict[str, Any]) -> None:
        """Raise MindrefError unless every process has the same values as rank 0."""
        by_rank = self.gather(values)
        failures = ["" for _ in by_rank]
        for rank, got in enumerate(by_rank):
            for name, value in by_rank[0].items():
                if got[name] != value and not failures[rank]:
                    failures[rank] = say(name, f"that of the first process, {value}", got[name])
        self.check(failures)

    def polled(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return a stop function that returns True at the same step in every process."""
        return Poll(self, stop) if self.several else stop

    def outlast_first(self) -> None:
        """Wait until rank 0 has ended: torchrun treats an earlier exit as an error."""
        with suppress(ProcessLost):  # raised when rank 0 ends
            self.gather("")  # rank 0 takes no part


class Poll:
    """Stop function: exchanges stop requests about once a second; rank 0 sets the steps between."""

    def __init__(self, ranks: Ranks, stop: Callable[[], bool]) -> None:
        self.ranks, self.stop = ranks, stop
        self.interval = self.steps_left = 1  # steps between exchanges, and until the next one
        self.exchanged_at = time.perf_counter()

    def __call__(self) -> bool:
        """Return whether all processes stop at this step."""
        self.steps_left -= 1
        if self.steps_left > 0:
            return False
        seconds = max(time.perf_counter() - self.exchanged_at, 1e-6)
        steps_per_second = int(self.interval / seconds)
        interval = max(1, min(steps_per_second, 4 * self.interval))
        requests = self.ranks.gather([self.stop(), interval])
        _, self.interval = requests[0]  # rank 0
        self.steps_left = self.interval
        self.exchanged_at = time.perf_counter()
        return any(stops for stops, _ in requests)


def error_text(error: Exception) -> str:
    """Return an error in one line, with its type unless it is a MindrefError."""
    return str(error) if isinstance(error, MindrefError) else f"{type(error).__name__}: {error}"


ONE_PROCESS = Ranks()
