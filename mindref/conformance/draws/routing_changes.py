"""Functions that change a routing call to test properties. Spec: specs/routing.md."""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.call_changes import as_small_integers, select_axis
from mindref.conformance.runner.call import AnyArray, Call
from mindref.shapes import Array, Bools

GARBAGE = (np.nan, np.inf, -np.inf, 1e30, 0.0)  # written to masked positions


def with_garbage(rng: np.random.Generator, x: Array, mask: Bools) -> Array:
    """Return x (..., D) with NaN, infinities, 1e30 or zeros where `mask` (...,) is true."""
    garbage = rng.choice(GARBAGE, size=x.shape).astype(x.dtype)
    return np.where(mask[..., None], garbage, x)


def first_interests(count: int, users: int, interests: int) -> Bools:
    """Return a mask (users, interests) that is true for the first `count` interests."""
    return np.broadcast_to(np.arange(interests) < count, (users, interests))


def keep_first_capsule(capsules: AnyArray) -> AnyArray:
    """Return `capsules` (B, K, D) with every capsule of a user set to zero except the first."""
    return np.where(np.arange(capsules.shape[1])[:, None] == 0, capsules, 0)


def repeat_first_capsule(capsules: AnyArray) -> AnyArray:
    """Return `capsules` (B, K, D) with all capsules of a user equal to the user's first capsule."""
    return np.broadcast_to(capsules[:, :1], capsules.shape)


def with_equal_logits(call: Call, active: Bools) -> Call:
    """Return a forward call with `active` and, for a behaviour, equal logits for all interests."""
    logits = call.arrays["init_logits"]
    same = np.repeat(logits[..., :1], logits.shape[2], axis=2)
    return call.forward_only().change(init_logits=same, active=active)


def with_exact_votes(call: Call) -> Call:
    """Return the forward call with `history` and `bilinear` rounded: the votes S e are exact."""
    call = as_small_integers(call.forward_only())
    mask, history = call.arrays["mask"], call.arrays["history"]
    history = np.where(mask[..., None], history, 0) / 2
    return call.change(history=history, bilinear=call.arrays["bilinear"] / 4)


def unit_sum_call(call: Call, unit: AnyArray, matrix: AnyArray) -> Call:
    """Return a call with one interest and S = `matrix`; each history has the sum `unit`."""
    history, (users, interests) = call.arrays["history"], call.arrays["active"].shape
    last = np.broadcast_to(unit.astype(call.dtype), (users, 1, len(unit)))
    history = np.concatenate((history, -history, last), axis=1)
    return call.change(
        history=history,
        mask=np.ones(history.shape[:2], bool),
        bilinear=matrix.astype(call.dtype),
        init_logits=np.zeros((*history.shape[:2], interests), call.dtype),
        active=first_interests(1, users, interests),
    )


def with_padding(rng: np.random.Generator, call: Call, count: int = 3) -> Call:
    """Return the call with `count` masked behaviours of garbage appended to each history."""
    places = call.arrays["mask"].shape[1]
    longer = select_axis(call, "l", np.arange(places + count) % places)
    new = np.arange(places + count) >= places
    dirty = {n: with_garbage(rng, longer.arrays[n], new) for n in ("history", "init_logits")}
    return longer.change(mask=longer.arrays["mask"] & ~new, **dirty)
