"""Finding steps and tensors by what a learner types, and what belongs to them."""

from __future__ import annotations

from typing import Any, NamedTuple

from mindref.data.shown import shown
from mindref.errors import ConfigError, say
from mindref.study.close import closest


class Found(NamedTuple):
    """A tensor and the step that makes it."""

    tensor: Any
    at: int  # place of the step in the trace, from 0


def step_at(trace: Any, text: str) -> int:
    """Return the place of a step, given by number from 1, by id, or by a tensor that it makes.

    Raises ConfigError with the three closest ids.
    """
    wanted = text.strip()
    ids = [step.id for step in trace.steps]
    if wanted in ids:
        return ids.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(ids):
        return int(wanted) - 1
    made = tensors(trace)
    if wanted in made:
        return made[wanted].at
    expected = f"a number from 1 to {len(ids)} or the id of a step"
    raise ConfigError(say("step", expected, shown(wanted), closest(wanted, ids)))


def tensors(trace: Any) -> dict[str, Found]:
    """Return every tensor of the trace by its name, in the order of the steps."""
    return {
        tensor.name: Found(tensor, at)
        for at, step in enumerate(trace.steps)
        for tensor in step.outputs
    }


def main_tensor(step: Any) -> Any:
    """Return the tensor that a step is about: the last one with cells to compare."""
    with_axes = [tensor for tensor in step.outputs if tensor.axes]
    return (with_axes or list(step.outputs))[0]


def round_before(trace: Any, at: int) -> int | None:
    """Return the place of the same step in the round that came before, or None."""
    step = trace.steps[at]
    if step.turn is None:
        return None
    for before in range(at - 1, -1, -1):
        other = trace.steps[before]
        if other.kind == step.kind and other.turn != step.turn and other.phase == step.phase:
            return before
    return None


def twin(tensor: Any, step: Any) -> Any:
    """Return the tensor of another step that plays the same part, or None."""
    same = [t for t in step.outputs if t.symbol == tensor.symbol and t.axes == tensor.axes]
    return same[0] if same and same[0].shape == tensor.shape else None


def gradient_of(trace: Any, at: int) -> Found | None:
    """Return the gradient of what a step makes; for a gradient, what it is the gradient of."""
    known = tensors(trace)
    for tensor in trace.steps[at].outputs:
        name = tensor.name
        other = name.removeprefix("d_") if name.startswith("d_") else f"d_{name}"
        if other in known:
            return known[other]
    return None
