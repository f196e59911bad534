"""The calls of the golden values, with padding, inactive interests and accidental hits.

All drawn numbers are multiples of 1/64. float64, float32 and float16 represent them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.draws.model_draws import (
    ModelCase,
    ModelDraw,
    build_case,
    loss_call,
    losses_are_differentiable,
    serving_call,
)
from mindref.conformance.draws.nondifferentiable import is_well_conditioned
from mindref.conformance.draws.training_draws import training_call, with_zero_gradient_step
from mindref.conformance.runner.call import Call, map_floats
from mindref.shapes import Array

SEED = 20260101
GRID = 64
"""Drawn numbers are multiples of 1 / GRID. float16 is exact for such numbers below 32."""

Calls = dict[str, Call]

# (B, L), true for behaviours; the last user has no behaviour
MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
ACTIVE = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)  # (B, K)


class GridDraw:
    """A callable that draws random multiples of 1 / GRID, with a fixed seed."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)

    def __call__(self, *shape: int) -> Array:
        """Return standard normal numbers of shape `shape`, rounded to multiples of 1 / GRID."""
        return on_grid(self.rng.standard_normal(shape))


def on_grid(x: Array) -> Array:
    """Return x rounded to multiples of 1 / GRID."""
    return np.rint(GRID * x) / GRID


def embedding_cases(draw: GridDraw) -> Calls:
    """Return two calls: one looks up single rows, one computes weighted means of two rows."""
    table = draw(5, 2)
    rows = np.array([[0, 4], [2, 4], [0, 1]])
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    plain = {"table": table, "rows": np.array([[3], [0], [3]]), "weights": np.ones((3, 1))}
    pooled = {"table": table, "rows": rows, "weights": weights}
    return {
        "look_up": Call("embedding", plain, {}, draw(3, 2)),
        "means": Call("embedding", pooled, {}, draw(3, 2)),
    }


def softmax_cases(draw: GridDraw) -> Calls:
    """Return three calls: with a mask entry per logit, with one per row, with logits far apart."""
    logits, cotangent = draw(3, 4), draw(3, 4)
    far = {"logits": np.array([[1000.0, 999.0, -1000.0]]), "mask": np.ones((1, 3), bool)}
    masked, shared = ({"logits": logits, "mask": mask} for mask in (MASK, MASK[:, :1]))
    return {
        "masked": Call("softmax", masked, {"axis": 1}, cotangent),
        "one_mask": Call("softmax", shared, {"axis": 0}, cotangent),
        "far_apart": Call("softmax", far, {"axis": -1}, draw(1, 3)),
    }


def squash_cases(draw: GridDraw) -> Calls:
    """Return a call with vectors of very different norms, and a call with a 2 x 2 batch."""
    x = np.array([[0.0, 0.0, 0.0], [0.015625, 0.0, -0.03125], [0.0, -1.0, 0.0], [24.0, -7.0, 3.0]])
    return {
        "lengths": Call("squash", {"x": x}, {"kind": "squash"}, draw(4, 3)),
        "batch": Call("squash", {"x": draw(2, 2, 2)}, {"kind": "squash"}, draw(2, 2, 2)),
    }


def routing_golden_cases(draw: GridDraw) -> Calls:
    """Return calls with one or three iterations, for users with padding and inactive interests."""
    arrays = {
        "history": draw(3, 4, 2),
        "mask": MASK,
        "bilinear": draw(2, 2),
        "init_logits": draw(3, 4, 3),
        "active": ACTIVE,
    }
    cotangent = draw(3, 3, 2)
    options = {
        "one_iteration": {"iterations": 1, "gradient": "all"},
        "all_iterations": {"iterations": 3, "gradient": "all"},
        "last_iteration": {"iterations": 3, "gradient": "last"},
    }
    return {name: Call("routing", arrays, numbers, cotangent) for name, numbers in options.items()}


def relu_layer_cases(draw: GridDraw) -> Calls:
    """Return a call with ReLU and a call without; no input of the ReLU is zero."""
    arrays = {"x": draw(3, 4), "weight": draw(4, 2), "bias": draw(2)}
    cotangent = draw(3, 2)
    return {
        "rectified": Call("relu_layer", arrays, {"relu": True}, cotangent),
        "linear": Call("relu_layer", arrays, {"relu": False}, cotangent),
    }


def label_attention_cases(draw: GridDraw) -> Calls:
    """Return five calls with inactive interests, which differ only in the power."""
    arrays = {"interests": draw(3, 3, 2), "target": draw(3, 2), "active": ACTIVE}
    cotangent = draw(3, 2)
    powers = {"mean": 0.0, "root": 0.5, "plain": 1.0, "square": 2.0, "largest": float("inf")}
    return {
        name: Call("label_attention", arrays, {"power": power}, cotangent)
        for name, power in powers.items()
    }


def sampled_softmax_cases(draw: GridDraw) -> Calls:
    """Return calls with an accidental hit, a repeated negative and log expected counts.

    The calls differ only in `temperature` and `normalise`.
    """
    arrays = {
        "user": draw(2, 3),
        "target": draw(2, 3),
        "negatives": draw(4, 3),
        "target_ids": np.array([7, 2]),
        "negative_ids": np.array([2, 5, 5, 9]),
        "target_log_expected": draw(2),
        "negative_log_expected": draw(4),
    }
    arrays["negatives"][2] = arrays["negatives"][1]
    arrays["negative_log_expected"][2] = arrays["negative_log_expected"][1]
    options = {
        "plain": {"temperature": 1.0, "normalise": False},
        "warm": {"temperature": 0.5, "normalise": False},
        "of_length_one": {"temperature": 0.25, "normalise": True},
    }
    d_out = np.array(1.5)
    return {name: Call("sampled_softmax", arrays, x, d_out) for name, x in options.items()}


MODELS: dict[str, dict[str, Any]] = {
    "default": {"iterations": 3, "hidden": (4,), "power": float("inf"), "routing_gradient": "last"},
    "paper": {"iterations": 2, "hidden": (4,), "power": 2.0, "routing_gradient": "all"}
    | {"last_relu": True},
    "others": {"iterations": 2, "hidden": (), "power": 1.0, "routing_gradient": "all"}
    | {"interest_count": "fixed", "temperature": 0.5, "normalise": True},
}
"""Name of a model -> its settings. The calls of loss, interests and training use these models."""
RATE = 0.125  # the learning rate
ADAM = {"beta1": 0.75, "beta2": 0.875, "epsilon": 0.0625}  # exact in every dtype


def golden_model(
    draw: GridDraw,
    steps: int,
    name: str,
    accept: Callable[[ModelCase], bool] = losses_are_differentiable,
) -> ModelCase:
    """Draw a model and data of three users until `accept` returns true, and return them."""
    while True:
        chosen = {**MODELS[name], **ADAM}
        model_draw = ModelDraw((3, 4, 3, 2), MASK, features=1, steps=steps, settings=chosen)
        drawn = build_case(draw.rng, model_draw)
        case = ModelCase(*map_floats(on_grid, tuple(drawn)))
        if accept(case):
            return case


def loss_cases(draw: GridDraw) -> Calls:
    """Return a call that computes the loss, for each model in `MODELS`."""
    return {name: loss_call(golden_model(draw, 1, name)) for name in MODELS}


def interests_cases(draw: GridDraw) -> Calls:
    """Return a call that computes the interests of users, for each model in `MODELS`."""
    return {name: serving_call(golden_model(draw, 1, name)) for name in MODELS}


def training_cases(draw: GridDraw) -> Calls:
    """Return a training of three steps, and one of two, whose second step has zero gradients."""

    def silent(world: ModelCase) -> Call:
        return with_zero_gradient_step(training_call(world, RATE))

    steps = golden_model(draw, 3, "paper", lambda w: is_well_conditioned(training_call(w, RATE)))
    silent_step = golden_model(draw, 1, "default", lambda w: is_well_conditioned(silent(w)))
    return {"three_steps": training_call(steps, RATE), "a_silent_step": silent(silent_step)}


class GoldenCases(NamedTuple):
    """The golden calls of one operator (or of interests, loss, training) and their rules."""

    make_calls: Callable[[GridDraw], Calls]
    rules: str  # numbers of the rules that the calls test, such as "R1, R3"
    subject: str  # subject of the sentence "... must match the golden values."
    fraction: float = 1.0  # factor for the number of calls; `smoke` must run each stored call


GOLDEN_CASES = {
    "embedding": GoldenCases(embedding_cases, "R1, R3", "Item vectors and their gradients"),
    "softmax": GoldenCases(softmax_cases, "R1, R5", "Weights and their gradients"),
    "squash": GoldenCases(squash_cases, "R1, R2", "Squashed vectors and their gradients"),
    "routing": GoldenCases(
        routing_golden_cases,
        "R5, R3, R4, R8, R11, R12",
        "Capsules, coupling weights and both kinds of gradients",
    ),
    "relu_layer": GoldenCases(
        relu_layer_cases, "R1, R2, R4", "Layer outputs and gradients, with and without ReLU,"
    ),
    "label_attention": GoldenCases(
        label_attention_cases,
        "R3, R2, R8, R9",
        "User vectors and their gradients, for five powers,",
        fraction=2.0,
    ),
    "sampled_softmax": GoldenCases(
        sampled_softmax_cases, "R1, R2, R3, R11", "Losses and their gradients"
    ),
    "interests": GoldenCases(interests_cases, "R4, R5, R6", "The interests of a small model"),
    "loss": GoldenCases(loss_cases, "R9, R10", "The loss of a small model and all its gradients"),
    "training": GoldenCases(training_cases, "R1, R4", "Losses and parameters after some steps"),
}
"""Name of an operator, or "loss", "interests" or "training" -> its golden calls."""


def all_cases() -> Iterator[tuple[str, Calls]]:
    """Yield each key of `GOLDEN_CASES` with its calls (name -> call)."""
    for stem, cases in GOLDEN_CASES.items():
        yield stem, cases.make_calls(GridDraw())
