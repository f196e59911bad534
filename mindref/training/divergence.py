"""Divergence: a loss, gradient, parameter or moment that is not finite.

Spec: specs/optimiser.md, R14 to R16. A batch contains ids only, so the settings are the cause, most
often the learning rate.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mindref.errors import MindrefError, say
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array
from mindref.training import optimiser

TODO = "train anew with a lower --learning-rate"


class Diverged(MindrefError):
    """A loss or a gradient is not finite. The last checkpoint on disk is intact."""

    def __init__(
        self, step: int, got: str, todo: str = f"{TODO}; the run keeps its best model"
    ) -> None:
        """Format the message."""
        self.step, self.got = step, got
        super().__init__(say(f"step {step}", "a finite loss", got, todo))  # optimiser-R15


def has_finite_squares(gradient: Array | RowGradient) -> bool:
    """Return whether a gradient and its square are finite, in the type of the gradient."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    if not x.size:
        return True
    extremes = np.array([x.min(), x.max()])  # NaN if an entry is NaN
    return bool(np.isfinite(extremes * extremes).all())  # optimiser-R14


def check_finite_state(params: Mapping[str, Array], moments: optimiser.State) -> None:
    """Raise Diverged if a parameter or a moment is not finite; such a state must not be saved."""
    first = {f"first moment of {name}": x for name, x in moments.first.items()}
    second = {f"second moment of {name}": x for name, x in moments.second.items()}
    tables = {**params, **first, **second}
    broken = [name for name, x in tables.items() if not np.isfinite(x).all()]
    if broken:  # optimiser-R16
        raise Diverged(moments.step, f"values that are not finite: {', '.join(broken)}")


def add_advice(error: Diverged, run: Path | None, saved_step: int) -> Diverged:
    """Return the error with advice about its run directory.

    saved_step: the step of the last state in the directory, 0 for none.
    """
    todo = TODO
    if run is not None:  # resuming diverges again, because each step has the same batch
        again = f"mindref train --resume {shlex.quote(str(run))} diverges again"
        saved = "nothing was saved yet"
        if saved_step:
            saved = f"the run is as it was after step {saved_step}"
        todo = f"{TODO}; {saved}, and {again}"
    return Diverged(error.step, error.got, todo)
