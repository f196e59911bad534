"""Functions that change and compare calls of label-aware attention.

Spec: specs/label_attention.md.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.context import CallAnswer, Change, CheckContext
from mindref.conformance.runner.reference import ExpectedArray


def with_coordinates(x: AnyArray, coordinates: AnyArray, front: bool = False) -> AnyArray:
    """Return x with `coordinates` appended to its last axis, or prepended if `front` is true."""
    shape = (*x.shape[:-1], np.shape(coordinates)[-1])
    coordinates = np.broadcast_to(coordinates, shape).astype(x.dtype)
    return np.concatenate((coordinates, x) if front else (x, coordinates), axis=-1)


def with_scores(call: Call, scores: AnyArray) -> Call:
    """Return `call` changed so that the attention scores are `scores` (B, K).

    `scores` is a new first coordinate of the interests. In this coordinate, the target is 1 and the
    cotangent is 0. In all other coordinates, the target is 0.
    """
    interests, target = call.arrays["interests"], call.arrays["target"]
    unit = with_coordinates(np.zeros_like(target), np.ones(1), front=True)
    interests = with_coordinates(interests, scores[..., None], front=True)
    changed = call.change(interests=interests, target=unit)
    if call.cotangent is None:
        return changed
    return changed._replace(cotangent=with_coordinates(call.cotangent, np.zeros(1), front=True))


def with_weights_exposed(call: Call) -> Call:
    """Return the forward call with unit vector k after interest k: `out` ends with the weights."""
    interests, target = call.arrays["interests"], call.arrays["target"]
    unit_vectors = np.eye(interests.shape[1])
    wider = with_coordinates(target, 0 * unit_vectors[0])
    interests = with_coordinates(interests, unit_vectors)
    return call.forward_only().change(interests=interests, target=wider)


def exposed_weights(context: CheckContext, got: CallAnswer) -> tuple[AnyArray, AnyArray]:
    """Return the last K columns of `out`, which are attention weights, and their error bounds."""
    k = got.call.arrays["active"].shape[1]
    allowed = context.expected(got.call)["out"].allowed
    return got["out"][:, -k:].astype(np.float64), allowed[:, -k:]


def assert_same_part(
    context: CheckContext, first: CallAnswer, second: CallAnswer, part: Change
) -> None:
    """Require that `part(out)` is equal in both answers, up to the error bounds."""
    allowed = part(context.expected(first.call)["out"].allowed)
    allowed = allowed + part(context.expected(second.call)["out"].allowed)
    expected = ExpectedArray(part(second["out"]), allowed)
    worst = part(context.worst_case(first.call, second.call, "out"))
    context.assert_close("out", part(first["out"]), expected, lambda: worst)


def assert_selects_largest(context: CheckContext, call: Call) -> None:
    """Require that the result is exactly the active interest with the largest score."""
    interests, active = call.arrays["interests"], call.arrays["active"]
    best = np.argmax(np.where(active, interests[..., 0], -np.inf), axis=1)
    got, users = context.run(call), np.arange(len(best))
    context.assert_exact(got, "out", interests[users, best])
    if call.cotangent is not None:
        is_best = np.arange(active.shape[1]) == best[:, None]
        context.assert_exact(got, "d_interests", is_best[..., None] * call.cotangent[:, None])


def distant_scores(context: CheckContext, call: Call) -> AnyArray:
    """Return scores (B, K) of magnitude at least 2; the scores of a user are all different."""
    users, k = call.arrays["active"].shape
    size = np.concatenate((np.arange(2, 10), -np.arange(2, 10)))
    return context.rng.permuted(np.tile(size, (users, 1)), axis=1)[:, :k].astype(float)
