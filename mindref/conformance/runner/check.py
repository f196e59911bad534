"""Registry of the checks: a function, the rules that it tests, and the calls that it runs on.

The name of a check is its stem and its function, such as `routing/padding_has_no_influence`.
Expectations, reports and reproduction scripts refer to it; it is stable across versions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from mindref.backend import OPERATORS
from mindref.conformance.runner.call import Call

if TYPE_CHECKING:
    from mindref.conformance.runner.context import CheckContext

MODULES = (
    "embedding",
    "softmax",
    "squash",
    "routing.properties",
    "routing.agreement",
    "routing.gradient",
    "routing.options",
    "routing.log_weights",
    "relu_layer",
    "label_attention.properties",
    "label_attention.agreement",
    "sampled_softmax.properties",
    "sampled_softmax.agreement",
    "notation",
    "numerics.arithmetic",
    "numerics.non_finite",
    "model.interests",
    "model.serving",
    "model.loss",
    "optimiser",
    "contract",
    "golden",
)
"""Modules of `mindref.conformance.checks` in running order: a module follows those it rests on."""

CHECKS_PACKAGE = "mindref.conformance.checks"

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
    "contract/saved_of_routing_has_couplings": ("routing",),
    "contract/operators_compose_to_the_model": (
        "embedding",
        "routing",
        "relu_layer",
        "label_attention",
        "sampled_softmax",
    ),
    "contract/loss_uses_the_served_interests": ("model",),
    "golden/interests_match": ("model",),
    "golden/training_matches": ("optimiser",),
    "contract/step_is_adam_on_the_loss_gradients": ("optimiser",),
}
"""Page or check name -> pages that it is built on: a failure there explains a failure here."""

NEEDS: dict[str, tuple[str, ...]] = {"composition": OPERATORS, "contract": (), "conversion": ()}
"""Stem of level "ops" that is not an operator -> the operators that it needs."""


class ConformanceCheck(NamedTuple):
    """One check of the conformance suite."""

    name: str
    rules: tuple[str, ...]  # cited rules; the most specific one first
    run: Callable[[CheckContext, Call], None]
    draws: st.SearchStrategy[Call]
    gradient: bool  # whether it tests gradients
    agreement: bool  # whether it compares with the reference
    stem: str  # operator, or "loss", "interests", "training"
    fraction: float  # fraction of the examples of the profile

    @property
    def page(self) -> str:
        """Return the page of the first rule."""
        return self.rules[0].split("-R")[0]

    @property
    def level(self) -> str:
        """Return the level of the backend contract that the check tests."""
        return Call(self.stem, {}, {}).level

    @property
    def text(self) -> str:
        """Return the requirement of the check in one sentence."""
        return (self.run.__doc__ or "").strip().split("\n")[0]


CHECKS: dict[str, ConformanceCheck] = {}


def add_check(
    *rules: str,
    draws: st.SearchStrategy[Call],
    stem: str,
    gradient: bool = False,
    agreement: bool = False,
    fraction: float = 1.0,
) -> Callable[[Callable[[CheckContext, Call], None]], Callable[[CheckContext, Call], None]]:
    """Register the decorated function as a check of these rules."""

    def enter(
        function: Callable[[CheckContext, Call], None],
    ) -> Callable[[CheckContext, Call], None]:
        name = f"{module_of(function).split('.')[0]}/{function.__name__}"
        if name in CHECKS or not function.__doc__:
            raise ValueError(f"{name}: a check needs a unique name and a docstring")
        CHECKS[name] = ConformanceCheck(
            name, rules, function, draws, gradient, agreement, stem, fraction
        )
        return function

    return enter


@cache
def all_checks() -> tuple[ConformanceCheck, ...]:
    """Return every check in running order."""
    for module in MODULES:
        importlib.import_module(f"{CHECKS_PACKAGE}.{module}")
    return tuple(sorted(CHECKS.values(), key=lambda c: MODULES.index(module_of(c.run))))


def module_of(function: Callable[..., Any]) -> str:
    """Return the module of a check relative to the package of checks."""
    return function.__module__.removeprefix(f"{CHECKS_PACKAGE}.")


def select_checks(words: tuple[str, ...]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of these pages, rules or names; without words, every check."""
    checks = all_checks()
    if not words:
        return checks
    return tuple(c for c in checks if any(w in (c.page, c.name, *c.rules) for w in words))
