"""Find steps and tensors by name, and the steps that belong together."""

from __future__ import annotations

import numpy as np

from mindref.data.quoting import quote_text
from mindref.errors import ConfigError, say
from mindref.study.suggest import suggest_names
from mindref.study.trace import Step, Tensor, Trace


def find_step(trace: Trace, text: str) -> int:
    """Return the index of a step, named by number from 1, by id, or by a tensor that it computes.

    Raises ConfigError with the three closest ids.
    """
    name = text.strip()
    ids = [step.id for step in trace.steps]
    if name in ids:
        return ids.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(ids):
        return int(name) - 1
    if name in trace.producers:
        return ids.index(trace.producers[name].id)
    expected = f"a number from 1 to {len(ids)} or the id of a step"
    raise ConfigError(say("step", expected, quote_text(name), suggest_names(name, ids)))


def find_producer(trace: Trace, name: str) -> int:
    """Return the index of the step that computes a tensor."""
    producer = trace.producers[name].id
    return next(i for i, step in enumerate(trace.steps) if step.id == producer)


def select_main_tensor(step: Step) -> Tensor:
    """Return the main tensor of a step: the last float tensor that has axes.

    The parts of a gradient ("from_z") follow the gradient and are skipped.
    """
    with_axes = [tensor for tensor in step.outputs if tensor.axes] or list(step.outputs)
    numbers = [tensor for tensor in with_axes if np.asarray(tensor.values).dtype.kind == "f"]
    complete = [tensor for tensor in numbers if not tensor.name.startswith("from_")]
    return (complete or numbers or with_axes)[-1]


def find_previous_iteration(trace: Trace, step_index: int) -> int | None:
    """Return the index of the same step in the previous routing iteration, or None."""
    step = trace.steps[step_index]
    if not step.number or not step.id.startswith("routing"):
        return None  # layers have a number, too
    for index in range(step_index - 1, -1, -1):
        other = trace.steps[index]
        if other.kind == step.kind and other.number != step.number and other.phase == step.phase:
            return index
    return None


def find_matching_tensor(tensor: Tensor, step: Step) -> Tensor | None:
    """Return the tensor of a step with the same symbol, axes and shape, or None."""
    matching = [t for t in step.outputs if t.symbol == tensor.symbol and t.axes == tensor.axes]
    same_shape = matching and np.shape(matching[0].values) == np.shape(tensor.values)
    return matching[0] if same_shape else None


def find_gradient_step(trace: Trace, step_index: int) -> int | None:
    """Return the step of the gradient of a tensor; for a gradient, the step of its tensor."""
    for tensor in trace.steps[step_index].outputs:
        name = tensor.name
        partner = name.removeprefix("d_") if name.startswith("d_") else f"d_{name}"
        # the last layer may have no ReLU
        for candidate in (partner, partner.replace("x[", "y[")):
            if candidate in trace.tensors:
                return find_producer(trace, candidate)
    return None
