"""What the laws of routing do to a call. Spec: specs/routing.md."""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.axes import cut
from mindref.conformance.draws.whole_numbers import whole
from mindref.conformance.judging.call import Anything, Call
from mindref.shapes import Array, Bools

RUBBISH = (np.nan, np.inf, -np.inf, 1e30, 0.0)


def rubbish(rng: np.random.Generator, x: Array, where: Bools) -> Array:
    """Return x with NaN, infinities and large numbers in the places of `where`, an axis less."""
    dirt = rng.choice(RUBBISH, size=x.shape).astype(x.dtype)
    return np.where(where[..., None], dirt, x)


def first(count: int, users: int, interests: int) -> Bools:
    """Return (B, K): true for the first interests."""
    return np.broadcast_to(np.arange(interests) < count, (users, interests))


def first_alone(capsules: Anything) -> Anything:
    """Return the capsules (B, K, D) of the first interest, zero for the others."""
    return np.where(np.arange(capsules.shape[1])[:, None] == 0, capsules, 0)


def first_for_all(capsules: Anything) -> Anything:
    """Return the capsules (B, K, D) of the first interest in the place of each."""
    return np.broadcast_to(capsules[:, :1], capsules.shape)


def alike(call: Call, active: Bools) -> Call:
    """Return the call, forward only, with one logit of a behaviour for all interests."""
    logits = call.arrays["init_logits"]
    same = np.repeat(logits[..., :1], logits.shape[2], axis=2)
    return call.forward_only().change(init_logits=same, active=active)


def in_whole_numbers(call: Call) -> Call:
    """Return the call in halves and quarters, so small that its votes do not round."""
    call = whole(call.forward_only())
    mask, history = call.arrays["mask"], call.arrays["history"]
    history = np.where(mask[..., None], history, 0) / 2
    return call.change(history=history, bilinear=call.arrays["bilinear"] / 4)


def balanced(call: Call, unit: Anything, matrix: Anything) -> Call:
    """Return the call for one interest and behaviours of which all but `unit` cancel."""
    history, (users, interests) = call.arrays["history"], call.arrays["active"].shape
    last = np.broadcast_to(unit.astype(call.dtype), (users, 1, len(unit)))
    history = np.concatenate((history, -history, last), axis=1)
    return call.change(
        history=history,
        mask=np.ones(history.shape[:2], bool),
        bilinear=matrix.astype(call.dtype),
        init_logits=np.zeros((*history.shape[:2], interests), call.dtype),
        active=first(1, users, interests),
    )


def padded(rng: np.random.Generator, call: Call, count: int = 3) -> Call:
    """Return the call with places of rubbish appended, which the mask leaves out."""
    places = call.arrays["mask"].shape[1]
    longer = cut(call, "l", np.arange(places + count) % places)
    new = np.arange(places + count) >= places
    dirty = {n: rubbish(rng, longer.arrays[n], new) for n in ("history", "init_logits")}
    return longer.change(mask=longer.arrays["mask"] & ~new, **dirty)
