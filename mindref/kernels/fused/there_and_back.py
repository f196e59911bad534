"""A block of users from its capsules to its losses, and back to the capsules, in compiled code.

Spec: specs/model.md, interests from step 4 on, loss from step 2 on, and Backward. One call for all
of it, products too: between short calls, two threads wait for each other's Python.
"""

from __future__ import annotations

from typing import NamedTuple

from mindref.kernels._jit import Number, jit
from mindref.kernels.fused.stack import At, Stack, Way, climb, descend
from mindref.kernels.label_attention import attend, attend_backward
from mindref.kernels.product import product
from mindref.kernels.rounds import gather
from mindref.kernels.sampled_softmax import lose, scatter
from mindref.kernels.squash import shorten, shorten_backward
from mindref.shapes import Array, Bools, Ints


class Side(NamedTuple):
    """Users, targets or negatives in the products of the loss."""

    vectors: Array  # (M, D)
    used: Array  # (M, D) of length one if `normalise`, else the same array
    unit: Array  # (M, D) directions, and slopes: see ops/squash.py; only for `normalise`
    across: Array  # (M,)
    along: Array  # (M,)


class Asked(NamedTuple):
    """What the loss is asked of."""

    vectors: Array  # (M, D) of the distinct items
    at_target: Ints  # (B,) numbers of distinct items
    at_negatives: Ints  # (S,)
    target_logs: Array  # (B,) of the expected count
    negative_logs: Array  # (S,)
    negatives: Array  # (S, D) as they are used


class Written(NamedTuple):
    """What is written on the way there, and back."""

    interests: Array  # (B, K, D)
    scores: Array  # (B, K)
    weights: Array  # (B, K)
    user: Side
    target: Side
    p: Array  # (B, S) products, then their gradients
    less: Array  # (B,) gradients of the targets' products
    d_user: Array  # (B, D)
    d_target: Array  # (B, D)
    d_users: Array  # (B, K, D) of interests


class Numbers(NamedTuple):
    """The options that are numbers, and what one user's loss is multiplied by."""

    power: float
    temperature: Number
    scale: Number


@jit
def there_and_back(
    at: At,
    stack: Stack,
    way: Way,
    capsules: Array,
    active: Bools,
    asked: Asked,
    written: Written,
    numbers: Numbers,
    unit: int | None,
) -> tuple[float, int]:
    """Take a block of users to their losses and back.

    Writes what `written` and `way` name, and of `stack` what goes into the layers and passes them.

    Returns the sum of their losses, and how many of their capsules have a gradient: see `descend`.
    unit: the number of the kind of `squash` that makes directions, or None: compiled apart, without
    a trace of it.
    """
    some = slice(at.first, at.stop)
    user, target, p = written.user, written.target, written.p[some]
    used, its, d_user, d_target = (
        user.used[some],
        target.used[some],
        written.d_user[some],
        written.d_target[some],
    )
    query, interests = target.vectors[some], written.interests[some]
    scores, weights, less = written.scores[some], written.weights[some], written.less[some]
    climb(at, stack, capsules, written.interests)
    gather(asked.vectors, asked.at_target[some], query)
    turn(target, at.first, at.stop, unit)
    attend(  # loss, step 4; also sets inactive interests to zero, model-R6
        interests, query, active[some], numbers.power, scores, weights, user.vectors[some]
    )
    turn(user, at.first, at.stop, unit)
    product(used, asked.negatives.T, p)  # loss, step 5
    loss = lose(
        used,
        its,
        asked.at_target[some],  # two items are one if their numbers are
        asked.at_negatives,
        asked.target_logs[some],
        asked.negative_logs,
        numbers.temperature,
        numbers.scale,
        p,
        less,
    )
    product(p, asked.negatives, d_user)
    scatter(less, used, its, d_user, d_target)
    through_turn(user, at.first, at.stop, unit, d_user)
    through_turn(target, at.first, at.stop, unit, d_target)
    attend_backward(  # model-R9: what the target gets as the query is added
        d_user, interests, query, scores, weights, numbers.power, written.d_users[some], d_target
    )
    return loss, descend(at, stack, way, written.weights, written.d_users)


@jit
def turn(side: Side, first: int, stop: int, unit: int | None) -> None:
    """Write the directions of some vectors, if the loss wants directions."""
    if unit is not None:
        some = slice(first, stop)
        x, used = side.vectors[some], side.used[some]
        shorten(x, unit, used, side.unit[some], side.across[some], side.along[some])


@jit
def through_turn(side: Side, first: int, stop: int, unit: int | None, d: Array) -> None:
    """Turn the gradient of some directions into that of vectors, in place."""
    if unit is not None:
        some = slice(first, stop)
        shorten_backward(d, side.unit[some], side.across[some], side.along[some], d)
