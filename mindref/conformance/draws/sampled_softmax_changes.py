"""Functions that change calls of sampled softmax. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.draws.call_changes import replace_at, select_axis
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.context import CheckContext

LOGS = ("target_log_expected", "negative_log_expected")
NEW = 1000  # an id that no target has


def with_hit(call: Call) -> Call:
    """Return the call in which negative 0 has the target id of user 0 and a large logit."""
    ids = replace_at(call.arrays["negative_ids"], 0, call.arrays["target_ids"][0])
    negatives = replace_at(call.arrays["negatives"], 0, 2 * call.arrays["user"][0])
    return call.change(negative_ids=ids, negatives=negatives)


def first_user_without_negatives(call: Call) -> Call:
    """Return the call in which all negatives have the target id of user 0 and of no other user."""
    ids, targets = call.arrays["negative_ids"], replace_at(call.arrays["target_ids"], 0, NEW)
    return call.change(target_ids=targets, negative_ids=np.full_like(ids, NEW))


def with_distinct_ids(call: Call) -> Call:
    """Return the call with new negative ids: no two are equal, and none is a target id."""
    return call.change(negative_ids=NEW + np.arange(len(call.arrays["negative_ids"])))


def logs_as_coordinate(call: Call, temperature: float) -> Call:
    """Return the call with an extra vector coordinate in place of the log expected counts.

    This coordinate is 1 for users and -temperature * log expected count for items.
    """
    user = call.arrays["user"]
    longer: dict[str, Any] = {"user": np.concatenate((user, np.ones_like(user[:, :1])), axis=1)}
    for name, log in zip(("target", "negatives"), LOGS, strict=True):
        coordinate = -call.dtype.type(temperature) * call.arrays[log]
        longer[name] = np.concatenate((call.arrays[name], coordinate[:, None]), axis=1)
        longer[log] = np.zeros_like(call.arrays[log])
    return call.change(**longer)


def axis_vectors(context: CheckContext, x: AnyArray) -> AnyArray:
    """Return random one-hot vectors in the shape and dtype of x."""
    axes = context.rng.integers(x.shape[1], size=len(x))
    return np.eye(x.shape[1], dtype=x.dtype)[axes]


def two_logits(call: Call, target: float, negative: float) -> Call:
    """Return a call with one user and one negative; the logits are `target` and `negative`."""
    call = with_distinct_ids(select_axis(select_axis(call, "b", [0]), "s", [0]))
    first = np.eye(1, call.arrays["user"].shape[1], dtype=call.dtype)
    vectors = {"user": first, "target": target * first, "negatives": negative * first}
    logs = {n: np.zeros(1, call.dtype) for n in LOGS}
    return call.change(temperature=1.0, normalise=False, **vectors, **logs)


def divide_by(x: AnyArray, by: float) -> AnyArray:
    """Return x divided by `by`."""
    return x / by


def full_catalogue(context: CheckContext, call: Call) -> Call:
    """Return a call in which every item is a negative, and each target is a random item."""
    negatives = call.arrays["negatives"]
    ids = context.rng.integers(len(negatives), size=len(call.arrays["target_ids"]))
    return call.forward_only().change(
        target=negatives[ids],
        target_ids=ids,
        negative_ids=np.arange(len(negatives)),
        temperature=1.0,
        normalise=False,
        **{n: np.zeros_like(call.arrays[n]) for n in LOGS},
    )
