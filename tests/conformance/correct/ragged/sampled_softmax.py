"""Spec: specs/sampled_softmax.md. Distinct negatives meet the users once; then user by user."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.shapes import Array, Ints
from tests.conformance.correct.ragged import squash


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
    distinct, which = np.unique(negatives, axis=0, return_inverse=True)
    used, units = zip(
        *(squash.forward(x, kind=kind) for x in (user, target, distinct)), strict=True
    )
    products = np.dot(used[0], used[2].T)[:, which.reshape(-1)]
    losses, shares = np.zeros(len(user), user.dtype), np.zeros_like(products)
    for b, (u, t) in enumerate(zip(used[0], used[1], strict=True)):
        y = np.dot(u, t) / temperature - target_log_expected[b]  # 2
        z = products[b] / temperature - negative_log_expected
        counted = np.flatnonzero(negative_ids != target_ids[b])  # sampled_softmax-R3
        if np.isfinite(y) and np.isfinite(z).all():
            losses[b], shares[b, counted] = among_all(y, z[counted])
        else:  # sampled_softmax-R18
            losses[b], shares[b] = np.nan, np.nan
    return losses.sum() / user.dtype.type(len(user)), (used, units, which, shares, temperature)


def among_all(y: Any, z: Array) -> tuple[Any, Array]:
    """Return the loss of one user and the probabilities of the negatives, from the largest logit.

    Where that is the target's, log1p keeps the digits of a tiny loss (sampled_softmax-R9).
    """
    top = np.max(z, initial=y)
    with np.errstate(over="ignore"):  # a gap beyond the floats is weight 0
        raised, target_exp = np.exp(z - top), np.exp(y - top)
        sum_exp = raised.sum()
        loss = np.log1p(sum_exp) if top == y else (top - y) + np.log(target_exp + sum_exp)
    return loss, raised / (target_exp + sum_exp)


def backward(d_out: Any, saved: Any) -> tuple[Array, Array, Array]:
    (user, target, distinct), units, which, shares, temperature = saved
    d_z = (shares * (d_out / len(user)) / temperature).astype(user.dtype)  # 5, 4, 2
    d_y = -np.dot(d_z, np.ones(len(which), user.dtype))  # sampled_softmax-R12
    by_item = np.zeros((len(distinct), len(user)), user.dtype)
    np.add.at(by_item, which.reshape(-1), d_z.T)  # places of one vector share its row
    d_user = d_y[:, None] * target + np.dot(by_item.T, distinct)
    d_target = d_y[:, None] * user
    d_places = np.dot(d_z.T, user)  # sampled_softmax-R11
    of_places = [units[2][item] for item in which.reshape(-1)]
    return (  # 1
        squash.backward(d_user, units[0]),
        squash.backward(d_target, units[1]),
        squash.backward(d_places, of_places),
    )
