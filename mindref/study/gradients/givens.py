"""What a computation is given, by the names of the trace, and how to change one number of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mindref.models.mind import Batch
from mindref.models.parameters import flatten, unflatten
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.study.run import Given


def names(given: Given) -> dict[str, Array]:
    """Return name -> array, without the axis of users; not copies."""
    params, batch = given.params, given.batch
    found = {"S": params.bilinear, "items": params.items, "profile": params.profile}
    for number, layer in enumerate(params.layers, start=1):
        found |= {f"W[{number}]": layer.weight, f"bias[{number}]": layer.bias}
    if given.config.routing == "dynamic":  # model-R12: nothing else reads them
        found["b[1]"] = batch.histories.init_logits[0]
    return found | {"logq_t": batch.target_log_expected[0], "logq": batch.negative_log_expected}


def changed(given: Given, name: str, index: Sequence[int], by: float) -> Given:
    """Return the same with one number moved; nothing that was handed over is changed."""
    place = tuple(index)
    if name in ("b[1]", "logq_t", "logq"):
        return given._replace(batch=changed_batch(given, name, place, by))
    arrays = dict(flatten(given.params))
    key = parameter(name)
    arrays[key] = moved(arrays[key], place, by)
    return given._replace(params=unflatten(arrays))


def changed_batch(given: Given, name: str, place: tuple[int, ...], by: float) -> Batch:
    """Return the batch with one number moved."""
    batch = given.batch
    if name == "b[1]":
        logits = moved(batch.histories.init_logits, (0, *place), by)
        return batch._replace(histories=batch.histories._replace(init_logits=logits))
    if name == "logq_t":
        return batch._replace(target_log_expected=moved(batch.target_log_expected, (0,), by))
    return batch._replace(negative_log_expected=moved(batch.negative_log_expected, place, by))


def parameter(name: str) -> str:
    """Return the name that `flatten` has for a parameter of the trace."""
    if name.startswith(("W[", "bias[")):
        kind, number = name.rstrip("]").split("[")
        return f"layers.{int(number) - 1}.{'weight' if kind == 'W' else 'bias'}"
    return {"S": "bilinear", "items": "items", "profile": "profile"}[name]


def moved(array: Array, place: tuple[int, ...], by: float) -> Array:
    """Return a copy with one number moved."""
    copy = array.copy()
    copy[place] += by
    return copy
