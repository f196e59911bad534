"""Spec: specs/sampled_softmax.md. All relative to the target, one term among others."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import sampled_softmax as reference
from mindref.shapes import Array, Ints
from tests.conformance.correct import squash
from tests.conformance.correct.sums import contract, total


def check_inputs(*arrays: Any, temperature: float = 1.0, normalise: bool = False) -> None:
    reference.check_inputs(*arrays, temperature=temperature)


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
    temperature = float(temperature)
    kind = "unit" if normalise else "none"
    used, units = zip(
        *(squash.forward(x, kind=kind) for x in (user, target, negatives)), strict=True
    )  # 1
    y = contract("bd,bd->b", used[0], used[1]) / temperature - target_log_expected  # 2
    z = contract("bd,sd->bs", used[0], used[2]) / temperature - negative_log_expected
    usable = np.isfinite(y) & np.isfinite(z).all(axis=1)
    y = np.where(usable, y, np.nan)  # sampled_softmax-R18
    with np.errstate(over="ignore"):
        gaps = np.where(negative_ids == target_ids[:, None], -np.inf, z) - y[:, None]  # 3
    losses, shares = compete(gaps.astype(user.dtype), usable)
    return total(losses, 0) / user.dtype.type(len(user)), (used, units, shares, temperature)


def compete(gaps: Array, usable: Array) -> tuple[Array, Array]:
    """Return log(1 + sum exp(gap)) (B,) and the probabilities of the negatives (B, S).

    The target's own gap is zero, so the largest of all is at least that. Where it is zero, log1p
    keeps the digits of a tiny loss (sampled_softmax-R9).
    """
    most = np.maximum(0, np.max(gaps, axis=1, initial=-np.inf))  # (B,)
    raised = np.exp(gaps - most[:, None])
    sum_exp = total(raised, 1)
    divisor = sum_exp + np.exp(-most)
    losses = np.where(most > 0, most + np.log(divisor), np.log1p(sum_exp))
    shares = raised / divisor[:, None]
    losses = np.where(usable, losses, np.nan)
    return losses.astype(gaps.dtype), np.where(usable[:, None], shares, np.nan).astype(gaps.dtype)


def backward(d_out: Any, saved: Any) -> tuple[Array, Array, Array]:
    (user, target, negatives), units, shares, temperature = saved
    d_z = shares * (d_out / (len(user) * temperature))  # 5, 4, 2
    d_z = d_z.astype(user.dtype)
    d_y = -total(d_z, 1)  # sampled_softmax-R12
    d_user = contract("bs,sd->bd", d_z, negatives) + d_y[:, None] * target
    gradients = (d_user, d_y[:, None] * user, contract("bs,bd->sd", d_z, user))
    before = [squash.backward(d, unit) for d, unit in zip(gradients, units, strict=True)]  # 1
    return before[0], before[1], before[2]
