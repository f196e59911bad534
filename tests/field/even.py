"""REMI's routing regulariser (Xie et al., RecSys 2023) on dynamic routing.

REMI penalises the variance, over behaviours, of the weights with which an interest attends to
them, squared and added up over interests. Those are a softmax over behaviours. Ours are couplings w
of a softmax over interests, times f = exp(log weight), so what an interest consists of is

    a_l = w_l f_l / sum_m w_m f_m        V = sum_l (a_l - 1 / n)^2 = sum_l a_l^2 - 1 / n

for the n behaviours of a user: V is 0 where all have the same share, 1 - 1 / n where one has all.
The penalty is the mean over users of weight x sum_k V_k^2, over active interests. REMI's code
divides V by d and adds up the users: its weight 100 with d = 64 and 128 users is one of 3 here.

By c_l = w_l f_l, with Q = sum_l a_l^2, C = sum_l c_l and B users:

    d / d c_l = weight / B x 4 V (a_l - Q) / C

of which f_l times goes to w_l, and c_l times to the log weight. Where the couplings are constants
(gradient "last") the log weights are all that it can move; without log weights nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.ops import routing, softmax, squash
from mindref.ops.votes import agree, gather, project_backward, spread
from mindref.shapes import Array


def shares(counted: Array) -> tuple[Array, Array]:
    """Return shares of behaviours in interests (B, L, K), and what was divided by (B, 1, K)."""
    total = counted.sum(axis=1, keepdims=True)
    total = np.where(total > 0, total, 1)
    return counted / total, total


def variance(counted: Array) -> Array:
    """Return V of interests (B, K); zero for an interest without behaviours."""
    part, _ = shares(counted)
    many = (counted > 0).sum(axis=1)
    return np.where(many > 0, (part**2).sum(axis=1) - 1 / np.maximum(many, 1), 0)


def penalty(counted: Array, weight: float) -> float:
    """Return the penalty of couplings times factors (B, L, K)."""
    return float(weight * (variance(counted) ** 2).sum() / len(counted))


def penalty_backward(counted: Array, weight: float) -> Array:
    """Return the gradient of the penalty by couplings times factors (B, L, K)."""
    part, total = shares(counted)
    even = part - (part**2).sum(axis=1, keepdims=True)
    slope = 4 * weight / len(counted) * variance(counted)[:, None] * even / total
    return np.where(counted > 0, slope, 0)


class Routing:
    """routing of the reference whose backward adds the gradient of the penalty.

    Contexts, one round each, are left as they are.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.forward = routing.forward

    def backward(self, d_capsules: Array, saved: Any) -> tuple[Array, ...]:
        """Return the gradients of the operator, with those of the penalty."""
        if len(saved.rounds) == 1:
            return routing.backward(d_capsules, saved)
        return backward(d_capsules, saved, self.weight)


def backward(d_capsules: Array, saved: routing.Saved, weight: float) -> tuple[Array, ...]:
    """Return what `routing.backward` does, with the gradient of the penalty on the last round."""
    history, bilinear, votes, rounds, gradient, factors = saved
    d_votes, d_logits = np.zeros_like(votes), np.zeros_like(saved.couplings)
    d_log_weights = np.zeros_like(d_logits)
    for turn in reversed(range(len(rounds))):
        weights, of_squash, capsules = rounds[turn]
        last = turn == len(rounds) - 1
        if not last:
            d_votes += spread(d_logits, capsules, votes)
            d_capsules = gather(d_logits, votes)
        d_sums = squash.backward(d_capsules, of_squash)
        counted = routing.weighted(weights.out, factors)
        d_votes += spread(counted, d_sums, votes)
        d_counted = agree(votes, d_sums)
        if last:
            d_counted = d_counted + penalty_backward(counted, weight)
        d_log_weights += np.where(weights.mask, counted * d_counted, 0)
        if gradient == "last":
            break
        d_logits += softmax.backward(routing.weighted(d_counted, factors), weights)
    d_history, d_bilinear = project_backward(d_votes, history, bilinear)
    learned = () if factors is None else (d_log_weights,)
    return d_history, d_bilinear, d_logits, *learned
