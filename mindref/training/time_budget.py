"""The time limit of a training: the time used, the progress of the schedule, and the end.

Spec: specs/optimiser.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mindref.errors import ConfigError, say

SHORTEST = 1e-9
"""Seconds that pass at least between two measurements, also if the clock is set back."""


class TimeUsed(NamedTuple):
    """Time that a training has used; all zero without a time limit."""

    seconds: float = 0.0  # of steps, validations and checkpoints
    validation: float = 0.0  # expected, of the next one with its checkpoint; 0 before the first
    progress: float = 0.0  # of the schedule, from 0 to 1; training ends at 1


class TimeBudget:
    """Measures the steps and validations of a training. Without a limit it measures nothing."""

    def __init__(self, limit: float, used: TimeUsed, clock: Callable[[], float]) -> None:
        self.limit, self.used, self.clock = limit, used, clock
        self.last = clock() if limit else 0.0
        self.is_first_step = True  # of this process
        self.step = 0.0  # expected seconds
        self.validation = self.checkpoint = 0.0  # seconds of the last ones

    def count_step(self) -> TimeUsed:
        """Return the time used after a step.

        The first step of a process may compile. It makes no progress and gives no estimate.
        """
        if self.limit:
            seconds, advances = self.lap(), not self.is_first_step  # optimiser-R19
            if advances:
                self.step = expected_seconds(self.step, seconds)
            self.is_first_step = False
            self.spend(seconds, advances=advances)
        return self.used

    def count_validation(self) -> TimeUsed:
        """Return the time used after a validation, for the checkpoint that follows."""
        if self.limit:
            self.validation = self.lap()
            measured = self.validation + self.checkpoint
            expected = expected_seconds(self.used.validation, measured)
            self.used = self.used._replace(validation=expected)
            self.spend(self.validation)
        return self.used

    def count_checkpoint(self) -> TimeUsed:
        """Return the time used after a checkpoint."""
        if self.limit:
            self.checkpoint = self.lap()
            expected = max(self.used.validation, self.validation + self.checkpoint)
            self.used = self.used._replace(validation=expected)
            self.spend(self.checkpoint)
        return self.used

    def lap(self) -> float:
        """Return the seconds since the last call."""
        now = self.clock()
        seconds, self.last = max(now - self.last, SHORTEST), now  # faults-R12
        return seconds

    def spend(self, seconds: float, *, advances: bool = True) -> None:
        """Add seconds. The progress rises linearly to 1 at the end of the time for steps."""
        used = self.used
        reserve = used.validation + self.step  # optimiser-R18
        left = self.limit - reserve - used.seconds
        progress = used.progress
        if seconds >= left:
            progress = 1.0
        elif advances:
            progress += (1 - progress) * seconds / left  # optimiser-R19
        self.used = used._replace(seconds=used.seconds + seconds, progress=progress)


def expected_seconds(expected: float, measured: float) -> float:
    """Return the next estimate: the measurement, or its mean with the estimate if larger."""
    return max(measured, (expected + measured) / 2)


def reject_time_limit(limit: float, subject: str) -> None:
    """Raise ConfigError for a time limit where results must be reproducible."""
    if limit:  # optimiser-R22
        todo = "set --steps: a time limit makes results depend on the machine"
        raise ConfigError(say(subject, "no time limit", f"{limit:g} seconds", todo))
