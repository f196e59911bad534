"""Finding steps and tensors by what a learner types, and what belongs to them."""

from __future__ import annotations

import numpy as np

from mindref.data.shown import shown
from mindref.errors import ConfigError, say
from mindref.study.close import closest
from mindref.study.trace import Step, Tensor, Trace


def step_at(trace: Trace, text: str) -> int:
    """Return the place of a step, given by number from 1, by id, or by a tensor that it makes.

    Raises ConfigError with the three closest ids.
    """
    wanted = text.strip()
    ids = [step.id for step in trace.steps]
    if wanted in ids:
        return ids.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(ids):
        return int(wanted) - 1
    if wanted in trace.made_by:
        return ids.index(trace.made_by[wanted].id)
    expected = f"a number from 1 to {len(ids)} or the id of a step"
    raise ConfigError(say("step", expected, shown(wanted), closest(wanted, ids)))


def place_of(trace: Trace, name: str) -> int:
    """Return the place of the step that makes a tensor."""
    made = trace.made_by[name].id
    return next(at for at, step in enumerate(trace.steps) if step.id == made)


def main_tensor(step: Step) -> Tensor:
    """Return the tensor that a step is about: the last one of numbers that has axes.

    What a gradient is made of ("from_sums") comes after the gradient.
    """
    with_axes = [tensor for tensor in step.outputs if tensor.axes] or list(step.outputs)
    numbers = [tensor for tensor in with_axes if np.asarray(tensor.values).dtype.kind == "f"]
    whole = [tensor for tensor in numbers if not tensor.name.startswith("from_")]
    return (whole or numbers or with_axes)[-1]


def round_before(trace: Trace, at: int) -> int | None:
    """Return the place of the same step in the round that came before, or None."""
    step = trace.steps[at]
    if not step.turn or not step.id.startswith("routing"):
        return None  # layers, too, have a number
    for before in range(at - 1, -1, -1):
        other = trace.steps[before]
        if other.kind == step.kind and other.turn != step.turn and other.phase == step.phase:
            return before
    return None


def twin(tensor: Tensor, step: Step) -> Tensor | None:
    """Return the tensor of another step that plays the same part, or None."""
    same = [t for t in step.outputs if t.symbol == tensor.symbol and t.axes == tensor.axes]
    return same[0] if same and np.shape(same[0].values) == np.shape(tensor.values) else None


def gradient_of(trace: Trace, at: int) -> int | None:
    """Return the step with the gradient of what a step makes; of a gradient, what it belongs to."""
    for tensor in trace.steps[at].outputs:
        name = tensor.name
        other = name.removeprefix("d_") if name.startswith("d_") else f"d_{name}"
        for known in (other, other.replace("x[", "y[")):  # the last layer may have no rectifier
            if known in trace.tensors:
                return place_of(trace, known)
    return None
