"""Time of training steps, without validation, checkpoints and the step that compiles.

Spec: specs/experiments.md, R20.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mindref.recommender.trainer import Hooks
from mindref.training.loop import Epoch


class StepClock:
    """Sums the seconds between the ends of consecutive steps."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds, self.steps = 0.0, 0
        self.last: float | None = None  # end of the previous step; None: not comparable

    def timing_hooks(self, hooks: Hooks) -> Hooks:
        """Return hooks that time the steps and call the given hooks."""

        def on_step(step: int, loss: float) -> None:
            if self.last is not None:
                self.seconds += self.now() - self.last
                self.steps += 1
            hooks.on_step(step, loss)
            self.last = self.now()

        def on_epoch(epoch: Epoch) -> None:
            hooks.on_epoch(epoch)
            self.last = self.now()  # experiments-R20: excludes validation and checkpoint

        return Hooks(on_step, on_epoch, hooks.stop)


def seconds_per_thousand(seconds: float, steps: int) -> float | None:
    """Return the seconds of 1,000 steps, None if no step was timed."""
    return 1000 * seconds / steps if steps else None
