"""Spec: specs/sampled_softmax.md. One user, one negative after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Ints
from tests.conformance.correct import checks
from tests.conformance.correct.loops import squash
from tests.conformance.correct.loops.sums import dot, total, weighted


def forward(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> tuple[Any, Any]:
    logs = (target_log_expected, negative_log_expected)
    arrays = (user, target, negatives, target_ids, negative_ids, *logs)
    checks.sampled_softmax(*arrays, temperature)
    number = user.dtype.type
    kind = "unit" if normalise else "none"
    used, units = zip(*(squash.forward(x, kind=kind) for x in arrays[:3]), strict=True)  # 1
    tau = number(temperature)
    losses = []
    shares = np.zeros((len(user), len(negatives)), user.dtype)
    for b, (u, t) in enumerate(zip(used[0], used[1], strict=True)):
        y = dot(u, t) / tau - target_log_expected[b]  # 2
        pairs = zip(used[2], negative_log_expected, strict=True)
        z = np.array([dot(u, n) / tau - log for n, log in pairs], user.dtype)
        counted = np.flatnonzero(negative_ids != target_ids[b])  # sampled_softmax-R3
        if not np.isfinite([y, *z]).all():  # sampled_softmax-R18
            losses.append(number(np.nan))
            shares[b] = np.nan
            continue
        loss, shares[b, counted] = against(y, z[counted])
        losses.append(loss)
    out = total(losses, None) / number(len(losses))  # 5
    return out, (used, units, shares, tau)


def against(y: Any, z: Array) -> tuple[Any, Any]:
    """Return -log of the target's probability, and those of the negatives, for one user."""
    if len(z) == 0:  # sampled_softmax-R10
        return y - y, z
    top = max(z)
    with np.errstate(over="ignore"):  # a gap beyond the floats is weight 0
        raised = [np.exp(x - top) for x in z]
        rest = (top - y) + np.log(total(raised, None))  # r - y
        # log(1 + exp(r - y)), from the side where nothing overflows and nothing is lost
        loss = np.log1p(np.exp(rest)) if rest <= 0 else rest + np.log1p(np.exp(-rest))
        share = np.exp(top - y - loss)
    return loss, [x * share for x in raised]


def backward(d_out: Any, saved: Any) -> tuple[Array, Array, Array]:
    (user, target, negatives), units, shares, tau = saved
    scale = user.dtype.type(d_out) / user.dtype.type(len(user))  # 5
    d_user, d_target, d_negatives = (np.zeros_like(x) for x in (user, target, negatives))
    for b, (u, t) in enumerate(zip(user, target, strict=True)):
        d_z = [share * scale / tau for share in shares[b]]  # 4, 2
        d_y = -total(d_z, scale - scale)  # sampled_softmax-R12
        d_user[b] = weighted([d_y, *d_z], [t, *negatives], u)
        d_target[b] = d_y * u
        for s, d in enumerate(d_z):
            d_negatives[s] += d * u  # sampled_softmax-R11
    gradients = (d_user, d_target, d_negatives)
    before = [squash.backward(d, unit) for d, unit in zip(gradients, units, strict=True)]  # 1
    return before[0], before[1], before[2]
