"""The checks by page: a function, the rules that it judges, and the calls that it is fed with.

A check's name is its module and function, such as `routing/the_order_of_behaviours`; it is what
expectations, reports and reproductions refer to, and stays the same from version to version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from mindref.backend import OPERATORS
from mindref.conformance.judging.call import Call

if TYPE_CHECKING:
    from mindref.conformance.judging.judge import Judge

MODULES = (
    "embedding",
    "softmax",
    "squash",
    "routing_laws",
    "routing",
    "routing_gradient",
    "routing_options",
    "routing_weights",
    "relu_layer",
    "label_attention_laws",
    "label_attention",
    "sampled_softmax_laws",
    "sampled_softmax",
    "notation",
    "numerics",
    "numerics_spread",
    "model",
    "model_serving",
    "model_loss",
    "optimiser",
    "backend",
    "goldens",
)
"""Where checks live, in the order in which they are run: who rests on another comes after it."""

RESTS_ON = {
    "routing": ("softmax", "squash"),
    "label_attention": ("softmax",),
    "sampled_softmax": ("squash",),
    "model": (
        "embedding",
        "routing",
        "relu_layer",
        "label_attention",
        "sampled_softmax",
    ),
    "optimiser": ("model",),
    "backend/what_routing_saved_has_its_couplings": ("routing",),
    "backend/the_operators_compose_to_the_model": (
        "embedding",
        "routing",
        "relu_layer",
        "label_attention",
        "sampled_softmax",
    ),
    "backend/the_loss_reads_the_interests_that_are_served": ("model",),
    "goldens/interests": ("model",),
    "goldens/training": ("optimiser",),
    "backend/a_step_is_adam_on_the_gradients_of_the_loss": ("optimiser",),
}
"""Page, or name of a check -> pages that it is built of: a failure there explains one here."""

NEEDS: dict[str, tuple[str, ...]] = {"composition": OPERATORS, "contract": (), "conversion": ()}
"""Stem of level "ops" that is no operator -> the operators that it needs."""


class Check(NamedTuple):
    """One thing that is asked of a backend."""

    name: str
    rules: tuple[str, ...]  # that it judges; the first is the most telling
    run: Callable[[Judge, Call], None]
    draws: st.SearchStrategy[Call]
    gradient: bool  # whether it asks for gradients
    agreement: bool  # whether it compares with the reference, so that it says nothing of itself
    stem: str  # operator, or "loss", "interests", "training"
    share: float  # of the profile's examples

    @property
    def page(self) -> str:
        """Return the page of its first rule."""
        return self.rules[0].split("-R")[0]

    @property
    def level(self) -> str:
        """Return the level of the contract that it belongs to."""
        return Call(self.stem, {}, {}).level

    @property
    def text(self) -> str:
        """Return in one sentence what is asked."""
        return (self.run.__doc__ or "").strip().split("\n")[0]


CHECKS: dict[str, Check] = {}


def check(
    *rules: str,
    draws: st.SearchStrategy[Call],
    stem: str,
    gradient: bool = False,
    agreement: bool = False,
    share: float = 1.0,
) -> Callable[[Callable[[Judge, Call], None]], Callable[[Judge, Call], None]]:
    """Enter a function among the checks, as a judge of these rules."""

    def enter(function: Callable[[Judge, Call], None]) -> Callable[[Judge, Call], None]:
        name = f"{function.__module__.rsplit('.', 1)[-1]}/{function.__name__}"
        if name in CHECKS or not function.__doc__:
            raise ValueError(f"{name}: a check needs a name of its own and a sentence")
        CHECKS[name] = Check(name, rules, function, draws, gradient, agreement, stem, share)
        return function

    return enter


@cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, in the order in which they are run."""
    for module in MODULES:
        importlib.import_module(f"mindref.conformance.{module}")
    order = {name: position for position, name in enumerate(MODULES)}
    return tuple(sorted(CHECKS.values(), key=lambda c: order[c.name.split("/")[0]]))


def chosen(words: tuple[str, ...]) -> tuple[Check, ...]:
    """Return the checks of these pages, rules or names; all without a word."""
    found = all_checks()
    if not words:
        return found
    return tuple(c for c in found if any(w in (c.page, c.name, *c.rules) for w in words))
