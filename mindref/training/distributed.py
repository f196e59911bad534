"""Several processes that train one model, as torchrun starts them.

Spec: specs/backend.md, backend-R17. Every process takes the same steps; the first one alone writes,
prints and validates, and tells the others what came of it. What all do in common fails in common,
so that nobody waits for one that has gone.

A process alone is the first of one: then nothing here does anything.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from mindref.errors import STRANGE, BackendError, ConfigError, MindrefError, say

T = TypeVar("T")
Exchange = Callable[[str], list[str]]
"""Gives every process what each of them gave, in the order of their ranks."""


class Lost(BackendError):
    """Another process of the training has gone without a word."""


class Elsewhere(MindrefError):
    """The first process says what went wrong; this one has nothing to add."""


def place() -> tuple[int, int]:
    """Return rank and number of the processes, as torchrun says them in the environment."""
    world = number("WORLD_SIZE", "1", 1, 1_000_000)
    return (number("RANK", "", 0, world - 1), world) if world > 1 else (0, 1)


def number(name: str, default: str, low: int, high: int) -> int:
    """Return a number of the environment. Raises ConfigError for anything else."""
    word = os.environ.get(name, default)
    if not word.isdecimal() or not low <= int(word) <= high:
        wanted, todo = f"an integer from {low} to {high}", "start the processes with torchrun"
        raise ConfigError(say(f"{name} in the environment", wanted, repr(word) or "none", todo))
    return int(word)


def join(backend: Any) -> Ranks:
    """Return the processes of this training, this one having joined them.

    Raises BackendError for several processes and a backend that they cannot share (backend-R17).
    """
    rank, world = place()
    if world == 1:
        return ALONE
    name, asked = f"backend {backend.name}", f"WORLD_SIZE is {world}"
    shares = inspect.getattr_static(backend, "join", None) is not None
    if not shares or "train" not in backend.capabilities().levels:  # backend-R17
        wanted, got = "one whose step several processes can share", f"none ({asked})"
        todo = "start one process, or choose another --backend, such as torch"
        raise BackendError(say(name, wanted, got, todo))
    try:
        return Ranks(rank, world, backend.join(rank, world))
    except STRANGE as error:
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(name, f"process {rank} of {world} to join", got)) from error


class Ranks(NamedTuple):
    """The processes of a training, and this one among them."""

    rank: int = 0  # from 0
    world: int = 1
    exchange: Exchange = lambda word: [word]

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, prints and validates."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.world > 1

    def gather(self, value: Any) -> list[Any]:
        """Return what each process gave, values that JSON can hold. Raises Lost."""
        if not self.several:
            return [value]
        given = json.dumps(value)
        try:
            return [json.loads(word) for word in self.exchange(given)]
        except MindrefError:
            raise
        except STRANGE as error:
            raise Lost(f"{type(error).__name__}: {error}") from error

    def together(self, work: Callable[[], T]) -> T:
        """Do what every process does. If it fails for any, the first one says why and all end."""
        if not self.several:
            return work()
        try:
            made = work()
        except Exception as error:
            self.gather(says(error))
            if self.first:
                raise
            raise Elsewhere(says(error)) from error
        self.check(self.gather(""))
        return made

    def check(self, failures: list[str]) -> None:
        """Raise the first failure of them, at the first process, and Elsewhere at the others."""
        for rank, failure in enumerate(failures):
            if failure:
                if self.first:
                    raise MindrefError(f"process {rank} of {self.world}: {failure}")
                raise Elsewhere(failure)

    def told(self, work: Callable[[], T]) -> T:
        """Let the first process work, and return what came of it: a value that JSON can hold."""
        if not self.several:
            return work()
        made = self.together(lambda: work() if self.first else None)
        answer: T = self.gather(made)[0]
        return answer

    def same(self, words: dict[str, Any]) -> None:
        """Raise MindrefError unless every process has these words of the first one."""
        answers = self.gather(words)
        failures = ["" for _ in answers]
        for rank, answer in enumerate(answers):
            for name, word in answers[0].items():
                if answer[name] != word and not failures[rank]:
                    failures[rank] = say(name, f"that of the first process, {word}", answer[name])
        self.check(failures)

    def polled(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return a stop that says yes at the same step everywhere, once any process says yes."""
        return Poll(self, stop) if self.several else stop

    def outlast_first(self) -> None:
        """Wait until the first process has ended: whoever leaves before it is taken for a fault."""
        try:
            self.gather("")
        except Lost:
            return


class Poll:
    """Asks the others about once a second, after a number of steps that the first process names."""

    def __init__(self, ranks: Ranks, stop: Callable[[], bool]) -> None:
        self.ranks, self.stop = ranks, stop
        self.steps, self.left, self.asked_at = 1, 1, time.perf_counter()

    def __call__(self) -> bool:
        """Return whether all stop here."""
        self.left -= 1
        if self.left > 0:
            return False
        now = time.perf_counter()
        fitting = int(self.steps / max(now - self.asked_at, 1e-6))
        answers = self.ranks.gather([self.stop(), max(1, min(fitting, 4 * self.steps))])
        self.steps = self.left = answers[0][1]
        self.asked_at = time.perf_counter()
        return any(asked for asked, _ in answers)


def says(error: Exception) -> str:
    """Return an error in one line, with its type if it is none of ours."""
    return str(error) if isinstance(error, MindrefError) else f"{type(error).__name__}: {error}"


ALONE = Ranks()
