"""Each compiled operator is the reference's, forward and backward, on drawn calls and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.conformance.draws.operators import CALLS
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.engine import draws
from mindref.kernels.rounds import TILE
from mindref.kernels.sampled_softmax import multiply, raise_above
from tests.kernels.cases import compiled, judged
from tests.ops.test_squash import extremes

TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
EXAMPLES = 25


def hold(stem: str, dtype: str) -> None:
    for call in draws(CALLS[stem], EXAMPLES, 0):
        judged(call.to(dtype))


def numbers(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@TYPES
@pytest.mark.rules("embedding-R1", "embedding-R2", "embedding-R3", "embedding-R5", "embedding-R6")
def test_embedding(dtype: str) -> None:
    hold("embedding", dtype)
    table = numbers(5, 3)
    for rows in ([[4, 4, 0], [4, 1, 1]], [[2]], np.zeros((0, 2)), np.zeros((2, 0))):
        ids = np.array(rows, np.int64)
        weights = np.where(ids == 1, 0.0, 0.5)
        arrays = {"table": table, "rows": ids, "weights": weights}
        judged(Call("embedding", arrays, {}, numbers(len(ids), 3)).to(dtype))


@TYPES
@pytest.mark.rules(
    "softmax-R1", "softmax-R2", "softmax-R3", "softmax-R4", "softmax-R5", "softmax-R6"
)
def test_softmax(dtype: str) -> None:
    hold("softmax", dtype)
    for shape in ((0, 3), (3, 0), (2, 1)):
        for axis in (0, 1):
            arrays = {"logits": numbers(*shape), "mask": np.ones(shape, bool)}
            judged(Call("softmax", arrays, {"axis": axis}, numbers(*shape)).to(dtype))


@TYPES
@pytest.mark.rules("squash-R1", "squash-R2", "squash-R3", "squash-R4", "squash-R6", "squash-R7")
def test_squash(dtype: str) -> None:
    hold("squash", dtype)
    for kind in ("squash", "unit", "none"):
        for x in (numbers(0, 3), numbers(2, 1), np.zeros((2, 3)), numbers(2, 3, 4)):
            judged(Call("squash", {"x": x}, {"kind": kind}, numbers(*x.shape)).to(dtype))
        for x in extremes(np.dtype(dtype).type):  # one at a time: each has a size of its own
            judged(Call("squash", {"x": x}, {"kind": kind}, np.ones(3)).to(dtype))


@TYPES
@pytest.mark.rules(
    "routing-R1", "routing-R2", "routing-R3", "routing-R4", "routing-R5", "routing-R7",
    "routing-R8", "routing-R9", "routing-R11", "routing-R12", "routing-R13", "routing-R28",
    "routing-R32", "routing-R34", "routing-R35", "routing-R36",
)  # fmt: skip
def test_routing(dtype: str) -> None:
    hold("routing", dtype)
    shapes = ((0, 3, 2, 2), (2, 0, 2, 2), (3, 9, 4, 1), (3, 7, 5, 3), (TILE + 2, 2, 4, 2))
    for users, length, count, width in shapes:
        rng = np.random.default_rng(users)
        arrays = {
            "history": rng.standard_normal((users, length, width)),
            "mask": np.arange(length) < rng.integers(0, length + 1, users)[:, None],
            "bilinear": rng.standard_normal((width, width)),
            "init_logits": rng.standard_normal((users, length, count)),
            "active": np.arange(count) < rng.integers(1, count + 1, users)[:, None],
        }
        log_weights = rng.standard_normal((users, length, count))
        log_weights[:, :, 1:2] = np.where(arrays["active"][:, None, 1:2], -1e4, np.nan)  # exp is 0
        for gradient in ("all", "last"):
            for axis in ("interests", "behaviours"):
                for kind in ("squash", "unit", "none"):
                    settings = {"gradient": gradient, "axis": axis, "kind": kind, "iterations": 3}
                    cotangent = rng.standard_normal((users, count, width))
                    for given in (arrays, {**arrays, "log_weights": log_weights}):
                        judged(Call("routing", given, settings, cotangent).to(dtype))


@TYPES
@pytest.mark.rules(
    "relu_layer-R1", "relu_layer-R2", "relu_layer-R3", "relu_layer-R4", "relu_layer-R7"
)
def test_relu_layer(dtype: str) -> None:
    hold("relu_layer", dtype)
    x = numbers(4, 3)
    x[1] = np.nan
    x[2] = 0  # with a bias of zero the sum is zero, where nothing passes
    for rows in (x, x[:0]):
        for relu in (True, False):
            arrays = {"x": rows, "weight": numbers(3, 2), "bias": np.array([0.0, 0.3])}
            judged(Call("relu_layer", arrays, {"relu": relu}, numbers(len(rows), 2)).to(dtype))


@TYPES
@pytest.mark.rules(
    "label_attention-R1", "label_attention-R2", "label_attention-R3", "label_attention-R4",
    "label_attention-R5", "label_attention-R6", "label_attention-R7", "label_attention-R8",
    "label_attention-R9", "label_attention-R10", "label_attention-R11", "label_attention-R12",
    "label_attention-R13", "label_attention-R17",
)  # fmt: skip
def test_label_attention(dtype: str) -> None:
    hold("label_attention", dtype)
    interests = numbers(5, 3, 2)
    interests[1, 1] = interests[1, 0]  # a tie
    interests[2, 0] = np.nan
    interests[3, 0] = 0  # a score of zero
    target, active = numbers(5, 2), np.arange(3) < np.array([1, 2, 3, 3, 2])[:, None]
    for users in (5, 0):
        arrays = {"interests": interests, "target": target, "active": active}
        some = {name: x[:users] for name, x in arrays.items()}
        for power in (0.0, 0.5, 1.0, 2.0, 300.0, np.inf):
            call = Call("label_attention", some, {"power": power}, numbers(users, 2))
            judged(call.to(dtype))


@TYPES
@pytest.mark.rules("sampled_softmax-R9", "sampled_softmax-R18")
def test_sampled_softmax_finds_the_largest_logit_wherever_it_stands(dtype: str) -> None:
    """Beside it, exp of the others vanishes; left out, its own would be infinite."""
    apart = np.full((19, 1), -0.9 * np.finfo(dtype).max, dtype)  # their sum is infinite
    alone = [np.where(np.arange(19) == place, 800.0, 0.0)[:, None] for place in range(19)]
    cases = [(0.0, negatives) for negatives in (*alone, apart)]
    cases += [(-900.0, negatives - 900) for negatives in alone]  # all below zero
    for target, negatives in cases:
        arrays = {
            "user": np.ones((1, 1)), "target": np.full((1, 1), target), "negatives": negatives,
            "target_ids": np.array([99]), "negative_ids": np.arange(19),
            "target_log_expected": np.zeros(1), "negative_log_expected": np.zeros(19),
        }  # fmt: skip
        settings = {"temperature": 1.0, "normalise": False}
        call = Call("sampled_softmax", arrays, settings, np.array(1.5)).to(dtype)
        judged(call)
        loss = compiled().answer(call)["out"]  # beside such logits the judge allows any error
        assert loss == (0 if negatives is apart else 800)


@TYPES
@pytest.mark.rules("sampled_softmax-R11")
def test_a_share_below_the_smallest_normal_number_is_zero(dtype: str) -> None:
    """The products with such a number take long; those shares that are normal stay as they are."""
    least, kind = np.log(float(np.finfo(dtype).tiny)), np.dtype(dtype).type
    logits = np.array([0, least + 1, least - 1, least - 10, -np.inf], dtype)
    shares = np.exp(logits)
    assert 0 < shares[3] < shares[2] < np.finfo(dtype).tiny
    for factor in (1.0, -1.0):
        x = shares.copy()
        total = multiply(x, kind(factor))
        assert x.tolist() == [*(factor * shares[:2]).tolist(), 0, 0, 0]
        assert total == factor
        x = np.append(shares[:2], kind(np.nan))
        assert np.isnan(multiply(x, kind(factor)))
        assert np.isnan(x).tolist() == [False, False, True]
    halves = shares[:2].copy()
    assert multiply(halves, kind(0.25)) == 0.25  # the product counts, not what it is made of
    assert halves.tolist() == [0.25, 0]
    assert raise_above(kind(0), logits) == 1  # in which no other is seen
    assert (logits > 0).tolist() == [True, True, False, False, False]


@TYPES
@pytest.mark.rules(
    "sampled_softmax-R1", "sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4",
    "sampled_softmax-R5", "sampled_softmax-R6", "sampled_softmax-R7", "sampled_softmax-R8",
    "sampled_softmax-R10", "sampled_softmax-R11", "sampled_softmax-R12", "sampled_softmax-R18",
)  # fmt: skip
def test_sampled_softmax(dtype: str) -> None:
    hold("sampled_softmax", dtype)
    for count in (0, 1, 16, 37):  # the largest is looked for in lanes
        ids = np.arange(count) % 7
        for where, nan in ((None, 0), ("user", 1), ("negatives", 0)):
            arrays = {
                "user": numbers(3, 4), "target": numbers(3, 4), "negatives": numbers(count, 4),
                "target_ids": np.array([0, 0, 5]), "negative_ids": ids,
                "target_log_expected": numbers(3), "negative_log_expected": numbers(count),
            }  # fmt: skip
            if where and len(arrays[where]):
                arrays[where][nan] = np.nan
            for normalise in (False, True):
                settings = {"temperature": 0.5, "normalise": normalise}
                judged(Call("sampled_softmax", arrays, settings, np.array(1.5)).to(dtype))
