"""The screened forms of REMI compute what they say: gradients, and none where they are off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.backend import load
from mindref.ops import pooled_softmax, routing, sampled_softmax, squash
from mindref.ops.votes import gather, project
from tests.field import even
from tests.field.harder import Hardness, Pooled, Sampled

RNG = np.random.default_rng(0)
USERS, INTERESTS, WIDTH, DRAWN, LENGTH = 3, 3, 4, 7, 6
ACTIVE = np.ones((USERS, INTERESTS), bool)
ACTIVE[0, 2] = False
MASK = np.ones((USERS, LENGTH), bool)
MASK[0, 4:], MASK[2] = False, False
IDS: Any = (np.arange(USERS), np.array([0, 5, 6, 6, 1, 8, 9]))
LOGS: Any = (RNG.normal(size=USERS), RNG.normal(size=DRAWN))
STEP = 1e-6


def near(value: Any, arrays: list[Any], gradients: Any) -> None:
    """Hold gradients against a difference along a random direction."""
    along = [RNG.normal(size=x.shape) for x in arrays]
    ahead, behind = (
        value([x + sign * STEP * d for x, d in zip(arrays, along, strict=True)]) for sign in (1, -1)
    )
    derived = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))
    np.testing.assert_allclose((ahead - behind) / (2 * STEP), derived, rtol=1e-7)


def vectors() -> list[Any]:
    shapes = ((USERS, INTERESTS, WIDTH), (USERS, WIDTH), (DRAWN, WIDTH))
    return [RNG.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("hardness", [0.3, 2.0])
def test_the_gradients_of_harder_negatives(hardness: float, normalise: bool) -> None:
    numbers: Any = {"temperature": 0.5, "normalise": normalise}
    pooled, sampled = Pooled(Hardness(hardness)), Sampled(Hardness(hardness))

    def of_pooled(x: Any) -> Any:
        return pooled.forward(x[0], ACTIVE, *x[1:], *IDS, *LOGS, sharpness=1.0, **numbers)

    def of_sampled(x: Any) -> Any:
        return sampled.forward(*x, *IDS, *LOGS, **numbers)

    arrays = vectors()
    near(lambda x: of_pooled(x)[0], arrays, pooled.backward(1.0, of_pooled(arrays)[1]))
    arrays[0] = arrays[0][:, 0]
    near(lambda x: of_sampled(x)[0], arrays, sampled.backward(1.0, of_sampled(arrays)[1]))


def test_constant_weights_are_those_of_the_same_loss_held_fast() -> None:
    y, scores, hardness = RNG.normal(size=2), RNG.normal(size=(2, DRAWN)), 0.7
    hits, logs = np.zeros((2, DRAWN), bool), LOGS[1]
    hits[0, 3] = True
    constant, slopes = Hardness(hardness, differentiated=False).lose(y, scores, logs, hits)
    np.testing.assert_allclose(constant, Hardness(hardness).lose(y, scores, logs, hits)[0])
    share = np.where(hits, 0, np.exp(-logs))
    weights = np.exp(hardness * scores)
    weights /= (share * weights).sum(axis=1, keepdims=True) / share.sum(axis=1, keepdims=True)

    def value(x: list[Any]) -> Any:
        return np.log1p((share * weights * np.exp(x[0] - y[:, None])).sum(axis=1)).sum()

    np.testing.assert_allclose(value([scores]), constant.sum())
    near(value, [scores], [slopes])


def test_without_hardness_they_are_the_operators() -> None:
    interests, target, negatives = vectors()
    numbers: Any = {"temperature": 0.5, "normalise": True}
    arrays = (target, negatives, *IDS, *LOGS)
    pairs: Any = (
        (Pooled(Hardness(0)), pooled_softmax, (interests, ACTIVE), {"sharpness": 1.0}),
        (Sampled(Hardness(0)), sampled_softmax, (interests[:, 0],), {}),
    )
    for ours, theirs, first, more in pairs:
        one, of_one = ours.forward(*first, *arrays, **more, **numbers)
        two, of_two = theirs.forward(*first, *arrays, **more, **numbers)
        np.testing.assert_allclose(one, two)
        for mine, its in zip(ours.backward(1.0, of_one), theirs.backward(1.0, of_two), strict=True):
            np.testing.assert_allclose(mine, its, atol=1e-14)


def routed(x: list[Any], gradient: str) -> Any:
    given: Any = {"iterations": 3, "gradient": gradient}
    return routing.forward(x[0], MASK, x[1], x[2], ACTIVE, x[3], **given)


@pytest.mark.parametrize("gradient", ["all", "last"])
def test_the_gradients_of_the_regulariser(gradient: str) -> None:
    shapes = ((USERS, LENGTH, WIDTH), (WIDTH, WIDTH), *[(USERS, LENGTH, INTERESTS)] * 2)
    arrays = [RNG.normal(size=shape) for shape in shapes]
    d_out, weight = RNG.normal(size=(USERS, INTERESTS, WIDTH)), 7.0
    allowed = MASK[..., None] & ACTIVE[:, None]
    _, saved = routed(arrays, gradient)

    def value(x: list[Any]) -> float:
        if gradient == "all":
            capsules, now = routed(x, gradient)
            counted = routing.weighted(now.couplings, now.factors)
        else:  # the couplings stay as they are, and logits reach nothing
            counted = np.where(allowed, saved.couplings * np.exp(x[3]), 0)
            history = np.where(MASK[..., None], x[0], 0)
            capsules, _ = squash.forward(gather(counted, project(history, x[1])))
        return float((capsules * d_out).sum()) + even.penalty(counted, weight)

    ours = even.Routing(weight).backward(d_out, saved)
    near(value, arrays, ours)
    plain = routing.backward(d_out, saved)
    moved = [not np.array_equal(one, other) for one, other in zip(ours, plain, strict=True)]
    assert moved == [gradient == "all"] * 3 + [True]  # what the penalty reaches


def test_without_log_weights_constant_couplings_leave_it_nothing_to_move() -> None:
    shapes = ((USERS, LENGTH, WIDTH), (WIDTH, WIDTH), (USERS, LENGTH, INTERESTS))
    history, bilinear, logits = (RNG.normal(size=shape) for shape in shapes)
    numbers: Any = {"iterations": 3, "gradient": "last"}
    _, saved = routing.forward(history, MASK, bilinear, logits, ACTIVE, **numbers)
    assert even.penalty(saved.couplings, 1.0) > 0
    d_out = RNG.normal(size=(USERS, INTERESTS, WIDTH))
    for ours, plain in zip(
        even.Routing(100.0).backward(d_out, saved), routing.backward(d_out, saved), strict=True
    ):
        np.testing.assert_array_equal(ours, plain)


def test_an_even_interest_costs_nothing_and_a_single_behaviour_the_most() -> None:
    counted = np.zeros((2, 4, 1))
    counted[0], counted[1, 2] = 0.3, 0.3
    np.testing.assert_allclose(even.variance(counted)[:, 0], [0, 0], atol=1e-15)
    counted[1] = [[0.0001], [0.0001], [0.9997], [0.0001]]
    np.testing.assert_allclose(even.variance(counted)[1], 0.9997**2 + 3e-8 - 1 / 4)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("harder-0.3", Hardness(0.3, differentiated=True)),
        ("constant-1", Hardness(1.0, differentiated=False)),
        ("even-3", 3.0),
    ],
)
def test_an_arm_is_a_backend_of_operators_alone(name: str, what: Any) -> None:
    backend = load(f"tests.field.tried:{name}")
    assert backend.capabilities().levels == ("ops",)
    assert backend.name == "numba"
    if name.startswith("even"):
        assert backend.ops.routing.weight == what
    else:
        assert backend.ops.pooled_softmax.hardness == what
        assert backend.ops.sampled_softmax.hardness == what
