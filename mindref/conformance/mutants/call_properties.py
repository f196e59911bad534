"""Properties of a call, such as padding, and functions that return a call without the property."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mindref.conformance.runner.call import (
    Call,
    float_arrays,
    map_arrays,
    map_floats,
    named_arrays,
)


def without_padding(call: Call) -> Call | None:
    """Return `call` in which every position has a behaviour and every interest a number."""
    mask = call.arrays.get("mask")
    if mask is None or mask.all():
        return None
    return replace_nonfinite(call.change(mask=np.ones_like(mask)))


def without_inactive(call: Call) -> Call | None:
    """Return `call` in which every interest is active."""
    active = call.arrays.get("active")
    if active is None or active.all():
        return None
    return replace_nonfinite(call.change(active=active | True))


def without_hits(call: Call) -> Call | None:
    """Return `call` in which no negative is the target of a user."""
    target, negatives = call.arrays.get("target_ids"), call.arrays.get("negative_ids")
    if target is None or negatives is None or not np.isin(negatives, target).any():
        return None
    return call.change(negative_ids=negatives + 1 + int(target.max()))


def without_repeats(call: Call) -> Call | None:
    """Return `call` in which each use of a table row has its own copy of the row."""
    rows = call.arrays.get("rows")
    if rows is None or len(np.unique(rows)) == rows.size:
        return None
    copies = np.arange(rows.size, dtype=rows.dtype).reshape(rows.shape)
    return call.change(table=call.arrays["table"][rows.reshape(-1)], rows=copies)


def with_unit_weights(call: Call) -> Call | None:
    """Return `call` in which each table row has the weight 1."""
    weights = call.arrays.get("weights")
    return None if weights is None or (weights == 1).all() else call.change(weights=weights * 0 + 1)


def drop_log_weights(call: Call) -> Call | None:
    """Return a call of routing without log weights."""
    if call.arrays.get("log_weights") is None:
        return None
    return call._replace(arrays={n: x for n, x in call.arrays.items() if n != "log_weights"})


def with_one_matrix(call: Call) -> Call | None:
    """Return a call of routing with one matrix S for all positions and interests."""
    bilinear = call.arrays.get("bilinear")
    if bilinear is None or bilinear.ndim != 4 or not bilinear.size:
        return None
    return call.change(bilinear=bilinear[0, 0])


def without_logits(call: Call) -> Call | None:
    """Return a call of routing whose initial logits are zero."""
    logits = call.arrays.get("init_logits")
    return None if logits is None or not logits.any() else call.change(init_logits=0 * logits)


def without_negative_numbers(call: Call) -> Call | None:
    """Return `call` with the absolute values of all floats."""
    floats = float_arrays(call)
    if not any((x < 0).any() for x in floats):
        return None
    return call._replace(arrays=map_floats(np.abs, call.arrays))


def replace_nonfinite(call: Call) -> Call:
    """Return `call` with 0.5 in place of NaN and infinity."""
    return map_call_floats(lambda x: np.where(np.isfinite(x), x, 0.5).astype(x.dtype), call)


def without_nonfinite(call: Call) -> Call | None:
    """Return `replace_nonfinite(call)`, or None if all floats are finite."""
    floats = float_arrays(call)
    return replace_nonfinite(call) if any(not np.isfinite(x).all() for x in floats) else None


def with_one_integer_type(call: Call) -> Call | None:
    """Return `call` in which all integers are int64."""
    integers = [x for x in named_arrays(call.arrays).values() if x.dtype.kind in "iu"]
    if all(x.dtype == np.int64 for x in integers):
        return None
    return call._replace(
        arrays=map_arrays(lambda x: x.astype("i8") if x.dtype.kind in "iu" else x, call.arrays)
    )


def in_c_order(call: Call) -> Call | None:
    """Return `call` with all arrays in C order."""
    arrays = named_arrays(call.arrays).values()
    if all(x.flags.c_contiguous for x in arrays):
        return None
    return call._replace(arrays=map_arrays(lambda x: x.copy(order="C"), call.arrays))


def without_resuming(call: Call) -> Call | None:
    """Return a training that starts at step 0 and does not stop in between."""
    if "moments" not in call.arrays and not call.numbers.get("pause"):
        return None
    arrays = {name: x for name, x in call.arrays.items() if name != "moments"}
    return call._replace(arrays=arrays, numbers={**call.numbers, "pause": 0})


def without_other_training(call: Call) -> Call | None:
    """Return a training that runs alone."""
    return call.change(alternates=0) if call.numbers.get("alternates") else None


def with_one_step(call: Call) -> Call | None:
    """Return a training of the first step only."""
    batches = call.arrays.get("batches", ())
    return call.change(batches=batches[:1]) if len(batches) > 1 else None


def map_call_floats(change: Any, call: Call) -> Call:
    """Return `call` with `change` applied to each float array, without warnings."""
    with np.errstate(all="ignore"):
        return call._replace(arrays=map_floats(change, call.arrays))


PROPERTIES = {
    "NaN or infinity in the inputs": without_nonfinite,
    "integers of another type than int64": with_one_integer_type,
    "arrays that are not in C order": in_c_order,
    "a resumed state": without_resuming,
    "another training that takes steps in turn": without_other_training,
    "more than one step": with_one_step,
    "log weights": drop_log_weights,
    "one matrix S for each position and interest": with_one_matrix,
    "masked entries": without_padding,
    "inactive interests": without_inactive,
    "accidental hits": without_hits,
    "repeated rows": without_repeats,
    "weights other than 1": with_unit_weights,
    "initial logits other than 0": without_logits,
    "negative numbers in the inputs": without_negative_numbers,
}
"""Property -> function that returns a call without the property, or None if it has none."""


def without_property(call: Call, name: str) -> Call | None:
    """Return `call` without the property, or None if it does not have it."""
    with np.errstate(all="ignore"):
        return PROPERTIES[name](call)


def has_property(calls: Iterable[Call], name: str) -> bool:
    """Return whether any of `calls` has the property."""
    return any(without_property(call, name) is not None for call in calls)
