"""What the steps of a training take: without validation, saving, and the step that compiles.

Spec: specs/experiments.md, R20.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mindref.recommender.run import Hooks
from mindref.training.loop import Epoch


class Clock:
    """Adds up the seconds between the ends of steps that follow each other."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds, self.steps = 0.0, 0
        self.last: float | None = None  # when the step at hand began; None: nobody knows

    def around(self, hooks: Hooks) -> Hooks:
        """Return hooks that take note of the time and then do what they did."""

        def on_step(step: int, loss: float) -> None:
            if self.last is not None:
                self.seconds += self.now() - self.last
                self.steps += 1
            hooks.on_step(step, loss)
            self.last = self.now()

        def on_epoch(epoch: Epoch) -> None:
            hooks.on_epoch(epoch)
            self.last = self.now()  # experiments-R20: validation and saving lie before

        return Hooks(on_step, on_epoch, hooks.stop)


def per_thousand(seconds: float, steps: int) -> float | None:
    """Return the seconds of 1,000 steps, None where none was timed."""
    return 1000 * seconds / steps if steps else None
