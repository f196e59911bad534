"""One call of every operator with its gradients, with a scale and options, on any array type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mindref.conformance.bounds import dense_table
from mindref.ops import (
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)

Answer = Callable[[Callable[[Any], Any]], dict[str, Any]]
Case = Callable[[np.random.Generator, float], Answer]


def softmax_case(rng: np.random.Generator, scale: float, axis: int = 1) -> Answer:
    logits, d = rng.standard_normal((2, 3, 5, 4))
    mask = rng.random((3, 5, 4)) < 0.8

    def answer(wrap: Any) -> dict[str, Any]:
        out, saved = softmax.forward(wrap(scale * logits), mask, axis=axis)
        return {"out": out, "d_logits": softmax.backward(wrap(d), saved)}

    return answer


def squash_case(rng: np.random.Generator, scale: float, kind: str = "squash") -> Answer:
    x, d = rng.standard_normal((2, 6, 5))

    def answer(wrap: Any) -> dict[str, Any]:
        out, saved = squash.forward(wrap(scale * x), kind=kind)
        return {"out": out, "d_x": squash.backward(wrap(d), saved)}

    return answer


def embedding_case(rng: np.random.Generator, scale: float, fields: int = 3) -> Answer:
    table, d = scale * rng.standard_normal((9, 4)), rng.standard_normal((20, 4))
    rows = rng.integers(0, 9, (20, fields))
    weights = np.float32(rng.random((20, fields))).astype(float)

    def answer(wrap: Any) -> dict[str, Any]:
        out, saved = embedding.forward(wrap(table), rows, wrap(weights))
        return {"out": out, "d_table": dense_table(embedding.backward(wrap(d), saved), 9)}

    return answer


def relu_case(rng: np.random.Generator, scale: float, relu: bool = True) -> Answer:
    x, weight, bias = (rng.standard_normal(shape) for shape in ((6, 5), (5, 7), (7,)))
    d = rng.standard_normal((6, 7))

    def answer(wrap: Any) -> dict[str, Any]:
        arrays = (wrap(scale * x), wrap(weight), wrap(scale * bias))
        out, saved = relu_layer.forward(*arrays, relu=relu)
        names = ("d_x", "d_weight", "d_bias")
        return {"out": out, **dict(zip(names, relu_layer.backward(wrap(d), saved), strict=True))}

    return answer


def routing_case(
    rng: np.random.Generator, scale: float, general: bool = False, **options: Any
) -> Answer:
    b, places, k, width = 5, 7, 3, 4
    options = {"iterations": 3, "gradient": "all", **options}
    history = scale * rng.standard_normal((b, places, width))
    matrices = (places, k, width, width) if general else (width, width)
    bilinear = rng.standard_normal(matrices) * width**-0.5
    logits, d = rng.standard_normal((b, places, k)), rng.standard_normal((b, k, width))
    mask = np.arange(places) < rng.integers(0, places + 1, b)[:, None]
    active = np.arange(k) < rng.integers(1, k + 1, b)[:, None]

    def answer(wrap: Any) -> dict[str, Any]:
        arrays = (wrap(history), mask, wrap(bilinear), wrap(logits), active)
        out, saved = routing.forward(*arrays, **options)
        names = ("d_history", "d_bilinear", "d_init_logits")
        found = dict(zip(names, routing.backward(wrap(d), saved), strict=True))
        return {"out": out, "couplings": saved.couplings, **found}

    return answer


def attention_case(rng: np.random.Generator, scale: float, power: float = 1.0) -> Answer:
    interests, target = scale * rng.standard_normal((6, 4, 5)), rng.standard_normal((6, 5))
    active = np.arange(4) < rng.integers(1, 5, 6)[:, None]
    d = rng.standard_normal((6, 5))

    def answer(wrap: Any) -> dict[str, Any]:
        arrays = (wrap(interests), wrap(target), active)
        out, saved = label_attention.forward(*arrays, power=power)
        names = ("d_interests", "d_target")
        found = label_attention.backward(wrap(d), saved)
        return {"out": out, **dict(zip(names, found, strict=True))}

    return answer


def loss_case(rng: np.random.Generator, scale: float, **options: Any) -> Answer:
    user, target, negatives = (rng.standard_normal((n, 5)) for n in (6, 6, 8))
    ids = rng.integers(0, 5, 6), rng.integers(0, 5, 8)
    logs = rng.standard_normal(6), rng.standard_normal(8)

    def answer(wrap: Any) -> dict[str, Any]:
        arrays = (wrap(scale * user), wrap(target), wrap(negatives), *ids, *map(wrap, logs))
        out, saved = sampled_softmax.forward(*arrays, **options)
        found = sampled_softmax.backward(wrap(1.0), saved)
        names = ("d_user", "d_target", "d_negatives")
        return {"out": out, **dict(zip(names, found, strict=True))}

    return answer


def partial(case: Any, **options: Any) -> Case:
    return lambda rng, scale: case(rng, scale, **options)


CASES: dict[str, Case] = {
    "softmax": softmax_case,
    **{f"squash {kind}": partial(squash_case, kind=kind) for kind in squash.KINDS},
    **{f"embedding F={n}": partial(embedding_case, fields=n) for n in (1, 3)},
    **{f"relu_layer {flag}": partial(relu_case, relu=flag) for flag in (True, False)},
    **{f"routing r={n}": partial(routing_case, iterations=n) for n in range(1, 7)},
    "routing last": partial(routing_case, gradient="last"),
    "routing behaviours": partial(routing_case, axis="behaviours"),
    "routing general": partial(routing_case, general=True),
    "routing unit": partial(routing_case, kind="unit"),
    **{
        f"label_attention p={p}": partial(attention_case, power=p)
        for p in (0.0, 0.5, 1.0, 2.0, 5.0, np.inf)
    },
    "sampled_softmax": loss_case,
    "sampled_softmax temperature": partial(loss_case, temperature=0.07),
    "sampled_softmax normalise": partial(loss_case, normalise=True, temperature=0.3),
}
"""One call of every operator for every option that changes its arithmetic."""

SCALES = (1e-3, 0.1, 1.0, 10.0)


def inputs(types: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Return the function that rounds inputs to a dtype before an array type wraps them."""
    unit = {"bfloat16": 2.0**-8}.get(types)

    def rounding(wrap: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if unit is None:
            return lambda x: wrap(np.asarray(x).astype(types).astype(float))

        def wrapped(x: Any) -> Any:
            mantissa, exponent = np.frexp(np.asarray(x))
            return wrap(np.ldexp(np.rint(mantissa / unit) * unit, exponent))

        return wrapped

    return rounding
