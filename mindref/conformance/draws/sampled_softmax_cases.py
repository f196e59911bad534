"""Calls of sampled softmax made into those whose answer a law knows.

Spec: specs/sampled_softmax.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.draws.axes import cut
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.judge import Judge

LOGS = ("target_log_expected", "negative_log_expected")
NEW = 1000  # an id that no target has


def hitting(call: Call) -> Call:
    """Return the call with the first negative the first user's target, and a likely one."""
    ids = np.array(call.arrays["negative_ids"])
    ids[0] = call.arrays["target_ids"][0]
    negatives = np.array(call.arrays["negatives"])
    negatives[0] = 2 * call.arrays["user"][0]
    return call.change(negative_ids=ids, negatives=negatives)


def first_user_without_negatives(call: Call) -> Call:
    """Return the call with every negative the target of the first user, and of no other."""
    ids, targets = call.arrays["negative_ids"], np.array(call.arrays["target_ids"])
    targets[0] = NEW
    return call.change(target_ids=targets, negative_ids=np.full_like(ids, NEW))


def without_hits(call: Call) -> Call:
    """Return the call with ids of negatives that all differ from each other and the targets."""
    return call.change(negative_ids=NEW + np.arange(len(call.arrays["negative_ids"])))


def with_logs_inside(call: Call, temperature: float) -> Call:
    """Return the call with minus the logs, times the temperature, as a coordinate of the items."""
    user = call.arrays["user"]
    longer: dict[str, Any] = {"user": np.concatenate((user, np.ones_like(user[:, :1])), axis=1)}
    for name, log in zip(("target", "negatives"), LOGS, strict=True):
        more = -call.dtype.type(temperature) * call.arrays[log]
        longer[name] = np.concatenate((call.arrays[name], more[:, None]), axis=1)
        longer[log] = np.zeros_like(call.arrays[log])
    return call.change(**longer)


def along_axes(judge: Judge, x: Anything) -> Anything:
    """Return unit vectors along axes, in the shape of x."""
    axes = judge.rng.integers(x.shape[1], size=len(x))
    return np.eye(x.shape[1], dtype=x.dtype)[axes]


def two_logits(call: Call, target: float, negative: float) -> Call:
    """Return the call of one user, one negative, and these two logits, not corrected."""
    call = without_hits(cut(cut(call, "b", [0]), "s", [0]))
    first = np.eye(1, call.arrays["user"].shape[1], dtype=call.dtype)
    vectors = {"user": first, "target": target * first, "negatives": negative * first}
    logs = {n: np.zeros(1, call.dtype) for n in LOGS}
    return call.change(temperature=1.0, normalise=False, **vectors, **logs)


def divided(x: Anything, by: float) -> Anything:
    """Return x over a number."""
    return x / by


def full(judge: Judge, call: Call) -> Call:
    """Return the call with its negatives as the whole catalogue, and targets out of it."""
    negatives = call.arrays["negatives"]
    ids = judge.rng.integers(len(negatives), size=len(call.arrays["target_ids"]))
    return call.forward_only().change(
        target=negatives[ids],
        target_ids=ids,
        negative_ids=np.arange(len(negatives)),
        temperature=1.0,
        normalise=False,
        **{n: np.zeros_like(call.arrays[n]) for n in LOGS},
    )
