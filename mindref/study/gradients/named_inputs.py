"""The inputs of the loss by their tensor names, and a change of one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mindref.models.mind import Batch
from mindref.models.parameters import flatten, unflatten
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair


def input_arrays(pair: TrainingPair) -> dict[str, Array]:
    """Return name -> array, without the axis of users; the arrays are views."""
    params, batch = pair.params, pair.batch
    arrays = {"S": params.bilinear, "items": params.items, "profile": params.profile}
    for number, layer in enumerate(params.layers, start=1):
        arrays |= {f"W[{number}]": layer.weight, f"bias[{number}]": layer.bias}
    if pair.config.routing == "dynamic":  # model-R12: nothing else reads them
        arrays["b[1]"] = batch.histories.init_logits[0]
    return arrays | {"logq_t": batch.target_log_expected[0], "logq": batch.negative_log_expected}


def perturb_input(pair: TrainingPair, name: str, index: Sequence[int], by: float) -> TrainingPair:
    """Return a training pair with `by` added to one number; the argument is unchanged."""
    entry = tuple(index)
    if name in ("b[1]", "logq_t", "logq"):
        return pair._replace(batch=perturb_batch(pair, name, entry, by))
    arrays = dict(flatten(pair.params))
    key = parameter_name(name)
    arrays[key] = perturb_copy(arrays[key], entry, by)
    return pair._replace(params=unflatten(arrays))


def perturb_batch(pair: TrainingPair, name: str, entry: tuple[int, ...], by: float) -> Batch:
    """Return a batch with `by` added to one number."""
    batch = pair.batch
    if name == "b[1]":
        logits = perturb_copy(batch.histories.init_logits, (0, *entry), by)
        return batch._replace(histories=batch.histories._replace(init_logits=logits))
    if name == "logq_t":
        return batch._replace(target_log_expected=perturb_copy(batch.target_log_expected, (0,), by))
    return batch._replace(
        negative_log_expected=perturb_copy(batch.negative_log_expected, entry, by)
    )


def parameter_name(name: str) -> str:
    """Return the parameter name of a tensor of the trace, as in `flatten`."""
    if name.startswith(("W[", "bias[")):
        kind, number = name.rstrip("]").split("[")
        return f"layers.{int(number) - 1}.{'weight' if kind == 'W' else 'bias'}"
    return {"S": "bilinear", "items": "items", "profile": "profile"}[name]


def perturb_copy(array: Array, entry: tuple[int, ...], by: float) -> Array:
    """Return a copy with `by` added to one number."""
    copy = array.copy()
    copy[entry] += by
    return copy
