"""The calls of the frozen answers: two users or three, pads, inactive interests, hits.

Numbers are drawn once from a fixed seed and lie on a grid of 1/64, so that every float type holds
them exactly and one file serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mindref.conformance.draws.bends import steady
from mindref.conformance.draws.trainings import training_call, with_a_silent_step
from mindref.conformance.draws.worlds import World, away, loss_call, made, serving_call
from mindref.conformance.judging.call import Call, mapped
from mindref.shapes import Array

SEED = 20260101
GRID = 64
"""Steps to one: numbers below 32 then have at most the 11 bits of float16."""

Calls = dict[str, Call]

MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)  # (B, L): the last has nothing
ACTIVE = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)  # (B, K)


class Draw:
    """Numbers on the grid, in the order of the calls."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)

    def __call__(self, *shape: int) -> Array:
        """Return N(0, 1) on the grid."""
        return on_grid(self.rng.standard_normal(shape))


def on_grid(x: Array) -> Array:
    """Return the nearest numbers on the grid."""
    return np.rint(GRID * x) / GRID


def embedding(draw: Draw) -> Calls:
    """A plain look-up with repeats; means with values of weight zero."""
    table = draw(5, 2)
    rows = np.array([[0, 4], [2, 4], [0, 1]])
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    plain = {"table": table, "rows": np.array([[3], [0], [3]]), "weights": np.ones((3, 1))}
    pooled = {"table": table, "rows": rows, "weights": weights}
    return {
        "look_up": Call("embedding", plain, {}, draw(3, 2)),
        "means": Call("embedding", pooled, {}, draw(3, 2)),
    }


def softmax(draw: Draw) -> Calls:
    """Scattered masks with an empty slice; one mask for all; logits far apart."""
    logits, cotangent = draw(3, 4), draw(3, 4)
    far = {"logits": np.array([[1000.0, 999.0, -1000.0]]), "mask": np.ones((1, 3), bool)}
    return {
        "masked": Call("softmax", {"logits": logits, "mask": MASK}, {"axis": 1}, cotangent),
        "one_mask": Call(
            "softmax", {"logits": logits, "mask": MASK[:, :1]}, {"axis": 0}, cotangent
        ),
        "far_apart": Call("softmax", far, {"axis": -1}, draw(1, 3)),
    }


def squash(draw: Draw) -> Calls:
    """A capsule of each length: zero, short, of length one, long."""
    x = np.array([[0.0, 0.0, 0.0], [0.015625, 0.0, -0.03125], [0.0, -1.0, 0.0], [24.0, -7.0, 3.0]])
    return {
        "lengths": Call("squash", {"x": x}, {"kind": "squash"}, draw(4, 3)),
        "batch": Call("squash", {"x": draw(2, 2, 2)}, {"kind": "squash"}, draw(2, 2, 2)),
    }


def routing(draw: Draw) -> Calls:
    """Three users with pads and inactive interests: one round, three rounds by both gradients."""
    arrays = {
        "history": draw(3, 4, 2),
        "mask": MASK,
        "bilinear": draw(2, 2),
        "init_logits": draw(3, 4, 3),
        "active": ACTIVE,
    }
    cotangent = draw(3, 3, 2)
    ways = {"one_round": (1, "all"), "all_rounds": (3, "all"), "last_round": (3, "last")}
    return {
        name: Call("routing", arrays, {"iterations": rounds, "gradient": way}, cotangent)
        for name, (rounds, way) in ways.items()
    }


def relu_layer(draw: Draw) -> Calls:
    """A layer with and without the rectifier; no sum lies at zero."""
    arrays = {"x": draw(3, 4), "weight": draw(4, 2), "bias": draw(2)}
    cotangent = draw(3, 2)
    return {
        name: Call("relu_layer", arrays, {"relu": relu}, cotangent)
        for name, relu in (("rectified", True), ("linear", False))
    }


def label_attention(draw: Draw) -> Calls:
    """Inactive interests under every kind of power."""
    arrays = {"interests": draw(3, 3, 2), "target": draw(3, 2), "active": ACTIVE}
    cotangent = draw(3, 2)
    powers = {"mean": 0.0, "root": 0.5, "plain": 1.0, "square": 2.0, "largest": float("inf")}
    return {
        name: Call("label_attention", arrays, {"power": power}, cotangent)
        for name, power in powers.items()
    }


def sampled_softmax(draw: Draw) -> Calls:
    """A hit, a repeated negative, logs on both sides; temperature; vectors of length one."""
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
    options = {"plain": (1.0, False), "warm": (0.5, False), "of_length_one": (0.25, True)}
    return {
        name: Call(
            "sampled_softmax",
            arrays,
            {"temperature": temperature, "normalise": normalise},
            np.array(1.5),
        )
        for name, (temperature, normalise) in options.items()
    }


MODELS: dict[str, dict[str, Any]] = {
    "default": {"iterations": 3, "hidden": (4,), "power": float("inf"), "routing_gradient": "last"},
    "paper": {
        "iterations": 2,
        "hidden": (4,),
        "power": 2.0,
        "routing_gradient": "all",
        "last_relu": True,
    },
    "others": {
        "iterations": 2,
        "hidden": (),
        "power": 1.0,
        "routing_gradient": "all",
        "interest_count": "fixed",
        "temperature": 0.5,
        "normalise": True,
    },
}
"""Settings of the calls at levels 2 and 3."""
RATE = 0.125
ADAM = {"beta1": 0.75, "beta2": 0.875, "epsilon": 0.0625}  # exact in every type


def world(draw: Draw, steps: int, name: str, accept: Callable[[World], bool] = away) -> World:
    """Make a world on the grid that is accepted: three users, one without behaviours."""
    while True:
        drawn = made(draw.rng, (3, 4, 3, 2), MASK, 1, steps, {**MODELS[name], **ADAM})
        found = World(*mapped(on_grid, tuple(drawn)))
        if accept(found):
            return found


def loss(draw: Draw) -> Calls:
    """The default, the paper's reading, other options."""
    return {name: loss_call(world(draw, 1, name)) for name in MODELS}


def interests(draw: Draw) -> Calls:
    """The same."""
    return {name: serving_call(world(draw, 1, name)) for name in MODELS}


def training(draw: Draw) -> Calls:
    """Three steps; a step, and one of zero gradients; float32 suffices to tell them from others."""
    return {
        "three_steps": asked(world(draw, 3, "paper", lambda w: steady(asked(w)))),
        "a_silent_step": with_a_silent_step(
            asked(world(draw, 1, "default", lambda w: steady(with_a_silent_step(asked(w)))))
        ),
    }


def asked(world: World) -> Call:
    """Return the question for a training."""
    return training_call(world, RATE)


MAKERS: tuple[Callable[[Draw], Calls], ...] = (
    embedding,
    softmax,
    squash,
    routing,
    relu_layer,
    label_attention,
    sampled_softmax,
    loss,
    interests,
    training,
)


def all_cases() -> Iterator[tuple[str, Calls]]:
    """Yield stem and calls by name; each stem draws anew from the seed."""
    for maker in MAKERS:
        yield maker.__name__, maker(Draw())
