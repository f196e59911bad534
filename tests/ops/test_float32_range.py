"""Float32 results at the ends of the range of specs/numerics.md, and outside of it."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.reference import expected_answer, reference_answer
from mindref.conformance.tolerances import same_math
from mindref.ops import (
    embedding,
    label_attention,
    pooled_softmax,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)
from mindref.ops.embedding import RowGradient

B, K, D, S = 2, 4, 64, 32


def results(module, arrays, numbers):
    """Return the output and the gradients of one call."""
    out, saved = module.forward(*arrays, **numbers)
    d_out = np.random.default_rng(1).standard_normal(np.shape(out)).astype(out.dtype)
    gradients = module.backward(d_out[()], saved)
    if isinstance(gradients, RowGradient):
        gradients = gradients.values
    return [out, *(gradients if isinstance(gradients, tuple) else (gradients,))]


def largest_error(module, arrays, **numbers):
    """Return the largest error of float32, over SAME_MATH times the largest entry."""
    narrow = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in arrays]
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in narrow]
    pairs = zip(results(module, narrow, numbers), results(module, wide, numbers), strict=True)
    limit = same_math(np.float32)
    return max(np.max(np.abs(x - y)) / (limit * max(np.max(np.abs(y)), 1e-300)) for x, y in pairs)


def largest_of_seeds(make_arguments):
    return max(
        largest_error(module, arrays, **numbers)
        for seed in range(20)
        for module, arrays, numbers in make_arguments(np.random.default_rng(seed))
    )


def linear_operators(rng):
    def x(*shape):
        return rng.standard_normal(shape)

    for scale in (1e-3, 1e3):
        yield embedding, [scale * x(6, D), rng.integers(0, 6, (9, 2)), x(9, 2)], {}
        yield squash, [scale * x(B, K, D)], {}
        yield relu_layer, [scale * x(B, D), x(D, K), x(K)], {"relu": True}


def softmax_slices(rng):
    for count in (2, 30):
        yield softmax, [rng.uniform(-3, 3, (1, count)), np.ones((1, 1), bool)], {"axis": 1}


def routing_calls(rng, length=2.0):
    for places, interests, width in ((1, 4, 64), (20, 4, 64), (100, 8, 8)):
        history, bilinear = rng.standard_normal((B, places, width)), np.eye(width)
        history *= length / np.linalg.norm(history, axis=-1, keepdims=True)
        logits = rng.standard_normal((B, places, interests))
        masks = np.ones((B, places), bool), np.ones((B, interests), bool)
        for axis in routing.AXES:
            numbers = {"iterations": 3, "gradient": "all", "axis": axis}
            yield routing, [history, masks[0], bilinear, logits, masks[1]], numbers


def attention_calls(rng):
    for power in (0.5, 1.0, 2.0, 5.0):
        scores = rng.uniform(0.1, 3 ** (1 / power), (B, K)) * rng.choice([-1, 1], (B, K))
        interests, target = rng.standard_normal((B, K, D)), np.eye(D)[:B]
        interests[np.arange(B), :, np.arange(B)] = scores
        active = np.arange(K) < [[2], [4]]
        yield label_attention, [interests, target, active], {"power": power}


def loss_calls(rng):
    ids = np.arange(1), np.arange(1, S + 1)
    target, negatives = rng.standard_normal((1, D)), rng.standard_normal((S, D))
    target[:, 0], negatives[:, 0] = rng.uniform(-60, 60, 1), rng.uniform(-60, 60, S)
    items = [target, negatives, *ids, rng.standard_normal(1), rng.standard_normal(S)]
    interests = rng.uniform(0.5, 1, (1, K, 1)) * np.eye(D)[0]
    yield sampled_softmax, [np.eye(D)[:1], *items], {}
    for sharpness in (0.0, 1.0, 5.0):
        yield pooled_softmax, [interests, np.ones((1, K), bool), *items], {"sharpness": sharpness}


@pytest.mark.rules("numerics-R6")
@pytest.mark.parametrize(
    "calls", [linear_operators, softmax_slices, routing_calls, attention_calls, loss_calls]
)
def test_same_math_is_enough_at_the_ends_of_the_range(calls):
    assert largest_of_seeds(calls) <= 0.5


@pytest.mark.rules("numerics-R6")
@pytest.mark.parametrize(("length", "factor"), [(10.0, 5), (30.0, 1_000)])
def test_long_votes_need_the_error_bound_of_the_computation(length, factor):
    rng = np.random.default_rng(11)
    history, bilinear = rng.standard_normal((B, 20, D)), rng.standard_normal((D, D))
    history *= length / np.linalg.norm(history, axis=-1, keepdims=True)
    floats = [history, bilinear, rng.standard_normal((B, 20, K)), rng.standard_normal((B, K, D))]
    history, bilinear, logits, d_capsules = (x.astype(np.float32) for x in floats)
    arrays = {
        "history": history,
        "mask": np.ones((B, 20), bool),
        "bilinear": bilinear,
        "init_logits": logits,
        "active": np.ones((B, K), bool),
    }
    call = Call("routing", arrays, {"iterations": 3, "gradient": "all"}, d_capsules)
    got, expected = reference_answer(call), expected_answer(call, Precision.of("float32"))
    assert all(part.largest_error_ratio(got[name]) <= 1 for name, part in expected.items())
    exact = expected["d_init_logits"].value
    error = np.max(np.abs(got["d_init_logits"] - exact))
    assert error > factor * same_math(np.float32) * np.max(np.abs(exact))
