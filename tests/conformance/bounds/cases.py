"""One call of every operator with its gradients, with a scale and options, on any array type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mindref.conformance.bounds.precision import TYPES
from mindref.conformance.runner.call import Call
from mindref.ops import squash
from tests.conformance.bounds.rounded_arrays import round_to

Case = Callable[[np.random.Generator, float], Call]


def softmax_call(rng: np.random.Generator, scale: float) -> Call:
    logits, d_out = rng.standard_normal((2, 3, 5, 4))
    mask = rng.random((3, 5, 4)) < 0.8
    return Call("softmax", {"logits": scale * logits, "mask": mask}, {"axis": 1}, d_out)


def squash_call(rng: np.random.Generator, scale: float, kind: str) -> Call:
    x, d_out = rng.standard_normal((2, 6, 5))
    return Call("squash", {"x": scale * x}, {"kind": kind}, d_out)


def embedding_call(rng: np.random.Generator, scale: float, fields: int) -> Call:
    table, d_out = scale * rng.standard_normal((9, 4)), rng.standard_normal((20, 4))
    rows = rng.integers(0, 9, (20, fields))
    weights = np.float32(rng.random((20, fields))).astype(float)
    return Call("embedding", {"table": table, "rows": rows, "weights": weights}, {}, d_out)


def relu_call(rng: np.random.Generator, scale: float, relu: bool) -> Call:
    x, weight, bias = (rng.standard_normal(shape) for shape in ((6, 5), (5, 7), (7,)))
    arrays = {"x": scale * x, "weight": weight, "bias": scale * bias}
    return Call("relu_layer", arrays, {"relu": relu}, rng.standard_normal((6, 7)))


def routing_call(
    rng: np.random.Generator, scale: float, general: bool = False, **options: Any
) -> Call:
    b, length, k, width = 5, 7, 3, 4
    history = scale * rng.standard_normal((b, length, width))
    matrices = (length, k, width, width) if general else (width, width)
    bilinear = rng.standard_normal(matrices) * width**-0.5
    logits, d_out = rng.standard_normal((b, length, k)), rng.standard_normal((b, k, width))
    arrays = {
        "history": history,
        "mask": np.arange(length) < rng.integers(0, length + 1, b)[:, None],
        "bilinear": bilinear,
        "init_logits": logits,
        "active": np.arange(k) < rng.integers(1, k + 1, b)[:, None],
    }
    return Call("routing", arrays, {"iterations": 3, "gradient": "all", **options}, d_out)


def attention_call(rng: np.random.Generator, scale: float, power: float) -> Call:
    interests, target = scale * rng.standard_normal((6, 4, 5)), rng.standard_normal((6, 5))
    active = np.arange(4) < rng.integers(1, 5, 6)[:, None]
    arrays = {"interests": interests, "target": target, "active": active}
    return Call("label_attention", arrays, {"power": power}, rng.standard_normal((6, 5)))


def loss_call(rng: np.random.Generator, scale: float, **options: Any) -> Call:
    user, target, negatives = (rng.standard_normal((n, 5)) for n in (6, 6, 8))
    arrays = {
        "user": scale * user,
        "target": target,
        "negatives": negatives,
        "target_ids": rng.integers(0, 5, 6),
        "negative_ids": rng.integers(0, 5, 8),
        "target_log_expected": rng.standard_normal(6),
        "negative_log_expected": rng.standard_normal(8),
    }
    return Call("sampled_softmax", arrays, options, np.array(1.0))


CASES: dict[str, Case] = {
    "softmax": softmax_call,
    **{f"squash {kind}": partial(squash_call, kind=kind) for kind in squash.KINDS},
    **{f"embedding F={n}": partial(embedding_call, fields=n) for n in (1, 3)},
    **{f"relu_layer {flag}": partial(relu_call, relu=flag) for flag in (True, False)},
    **{f"routing r={n}": partial(routing_call, iterations=n) for n in range(1, 7)},
    "routing last": partial(routing_call, gradient="last"),
    "routing behaviours": partial(routing_call, axis="behaviours"),
    "routing general": partial(routing_call, general=True),
    "routing unit": partial(routing_call, kind="unit"),
    **{
        f"label_attention p={p}": partial(attention_call, power=p)
        for p in (0.0, 0.5, 1.0, 2.0, 5.0, np.inf)
    },
    "sampled_softmax": loss_call,
    "sampled_softmax temperature": partial(loss_call, temperature=0.07),
    "sampled_softmax normalise": partial(loss_call, normalise=True, temperature=0.3),
}
"""One call of every operator for every option that changes its arithmetic."""

SCALES = (1e-3, 0.1, 1.0, 10.0)


def round_inputs(wrap: Callable[[Any], Any], dtype: str) -> Callable[[Any], Any]:
    """Return `wrap` of an array whose numbers are rounded to a dtype first."""
    if dtype == "bfloat16":
        return lambda x: wrap(round_to(x, TYPES[dtype].unit))
    return lambda x: wrap(np.asarray(x).astype(dtype).astype(float))
