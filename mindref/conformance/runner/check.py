"""Registry of the checks. A check is a function with rules and a Hypothesis strategy for inputs.

The name of a check is its module and function, such as `routing/padding_has_no_influence`.
Reports and files of known failures use this name, so it stays the same in new versions.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from mindref.backend import OPERATORS
from mindref.conformance.mutants.source_units import labels_of
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.result import CheckResult
from mindref.errors import ConfigError, say

if TYPE_CHECKING:
    from mindref.conformance.runner.context import CheckContext

MODULES = (
    "embedding", "softmax", "squash", "routing.properties", "routing.agreement", "routing.gradient",
    "routing.options", "relu_layer", "label_attention.properties", "label_attention.agreement",
    "sampled_softmax.properties", "sampled_softmax.agreement", "sizes", "values", "notation",
    "numerics", "layouts", "model.interests", "model.loss", "model.sizes", "optimiser",
    "many_steps", "contract", "concurrency", "scoring", "golden", "mind_plus.interests",
    "mind_plus.loss", "pooled_softmax",
    "mind_plus.training",
)  # fmt: skip
"""Modules of `mindref.conformance.checks` in the order in which they run."""

CHECKS_PACKAGE = "mindref.conformance.checks"

MODEL_OPERATORS = ("embedding", "routing", "relu_layer", "label_attention", "sampled_softmax")

RESTS_ON = {
    "routing": ("softmax", "squash"),
    "label_attention": ("softmax",),
    "sampled_softmax": ("squash",),
    "model": MODEL_OPERATORS,
    "optimiser": ("model",),
    "mind_plus": ("model",),
    "pooled_softmax": ("mind_plus",),
    "contract/saved_of_routing_has_couplings": ("routing",),
    "contract/operators_compose_to_the_model": MODEL_OPERATORS,
    "contract/loss_uses_the_served_interests": ("model",),
    "golden/interests_match": ("model",),
    "golden/training_matches": ("optimiser",),
    "contract/step_is_adam_on_the_loss_gradients": ("optimiser",),
}
"""Key: a page or a check. A failure of a page in the value explains a failure of the key."""

FAMILY_OF = {"mind_plus": "mind_plus", "pooled_softmax": "mind_plus"}
"""Page -> model family that a backend must claim for the checks; of other pages, no family."""

STEMS = {"model": "loss", "optimiser": "training", "mind_plus": "loss", "pooled_softmax": "loss"}
"""Page -> the default of `stem` in `add_check`. For other pages, it is the name of the page."""

NEEDS: dict[str, tuple[str, ...]] = {"composition": OPERATORS, "contract": (), "conversion": ()}
"""For checks whose `stem` is one of these keys: the operators that a backend must claim."""


Run = Callable[["CheckContext", Call], None]


class ConformanceCheck(NamedTuple):
    """One check of the conformance suite."""

    name: str
    rules: tuple[str, ...]  # rules that the check tests; the most specific rule first
    run: Run
    draws: st.SearchStrategy[Call]
    gradient: bool  # whether it tests gradients
    agreement: bool  # whether it compares answers with the reference
    stem: str  # operator that is called, or "loss", "interests", "training" or a key of NEEDS
    fraction: float  # factor for the number of calls that the profile draws
    shrinks: bool = True  # whether Hypothesis shrinks a failing call
    concurrency: str = ""  # of mindref.backend.CONCURRENCY, which the backend must claim

    @property
    def page(self) -> str:
        """Return the page of the first rule, such as "routing"."""
        return page_of(self.rules)

    @property
    def family(self) -> str:
        """Return the model family that the backend must claim, or ""."""
        return FAMILY_OF.get(self.page, "")

    @property
    def level(self) -> str:
        """Return the level that the backend must claim, such as "ops"."""
        return Call(self.stem, {}, {}).level

    @property
    def text(self) -> str:
        """Return the first line of the docstring, which is the requirement."""
        return (self.run.__doc__ or "").strip().split("\n")[0]

    def result(self, precision: object, status: str = "", **fields: Any) -> CheckResult:
        """Return a CheckResult of this check. `fields` are other fields of CheckResult."""
        identity = (self.name, self.rules, self.level, self.gradient)
        return CheckResult(*identity, str(precision), status, self.text, **fields)


CHECKS: dict[str, ConformanceCheck] = {}


def add_check(
    *rules: str,
    draws: st.SearchStrategy[Call],
    stem: str = "",
    gradient: bool = False,
    agreement: bool = False,
    fraction: float = 1.0,
    shrinks: bool = True,
    concurrency: str = "",
) -> Callable[[Run], Run]:
    """Register the decorated function as a check of `rules`, such as "routing-R2, R9".

    stem: what the check calls; by default STEMS[page], or the name of the first rule's page.
    shrinks: false if the check itself searches for a small call that fails.
    concurrency: "threads" or "fork" if only a backend that claims it is tested.
    """
    rules = tuple(label for rule in rules for label in labels_of(rule))
    page_stem = STEMS.get(page_of(rules), page_of(rules))

    def enter(function: Run) -> Run:
        name = f"{module_of(function).split('.')[0]}/{function.__name__}"
        if name in CHECKS or not function.__doc__:
            raise ValueError(f"{name}: a check needs a unique name and a docstring")
        CHECKS[name] = ConformanceCheck(
            name,
            rules,
            function,
            draws,
            gradient,
            agreement,
            stem or page_stem,
            fraction,
            shrinks,
            concurrency,
        )
        return function

    return enter


def add_comparison(
    *rules: str,
    draws: st.SearchStrategy[Call],
    parts: tuple[str, ...] = (),
    stem: str = "",
    gradient: bool = False,
    fraction: float = 1.0,
) -> Callable[[Callable[[], None]], Run]:
    """Register a check that compares answers of the backend with answers of the reference.

    The decorated function only provides the name and the docstring. `parts` are the names of the
    arrays to compare, such as "out" or "d_history" (default: all).
    """
    tests_gradient = gradient or any(part.startswith("d_") for part in parts)
    register = add_check(
        *rules,
        draws=draws,
        stem=stem,
        gradient=tests_gradient,
        agreement=True,
        fraction=fraction,
    )

    def enter(function: Callable[[], None]) -> Run:
        names = (function.__module__, function.__name__, function.__doc__)
        return register(name_run(agreement_run(*parts), *names))

    return enter


def agreement_run(*parts: str) -> Run:
    """Return a check that compares the arrays `parts` (default: all) with the reference."""

    def compare_with_reference(context: CheckContext, call: Call) -> None:
        context.assert_agrees(call, *parts)

    return compare_with_reference


def name_run(run: Run, module: str, name: str, text: str | None) -> Run:
    """Set the module, name and docstring of `run`, and return `run`."""
    run.__module__, run.__name__, run.__doc__ = module, name, text
    return run


def page_of(rules: tuple[str, ...]) -> str:
    """Return the page of the first rule, such as "routing" for "routing-R2"."""
    return rules[0].split("-R")[0]


@cache
def all_checks() -> tuple[ConformanceCheck, ...]:
    """Return every check, in the order in which they run.

    Raises ConfigError without docstrings: the requirement of a check is its docstring.
    """
    if sys.flags.optimize > 1:
        todo = "unset PYTHONOPTIMIZE, or run python without -OO"
        raise ConfigError(say("conform", "docstrings of the checks", "none", todo))
    for module in MODULES:
        importlib.import_module(f"{CHECKS_PACKAGE}.{module}")
    checks = sorted(CHECKS.values(), key=lambda c: MODULES.index(module_of(c.run)))
    pages = list(dict.fromkeys(check.page for check in checks))
    by_page = [[c for c in checks if c.page == page] for page in pages]
    return tuple(check for page in by_page for check in properties_first(page))


def properties_first(checks: list[ConformanceCheck]) -> list[ConformanceCheck]:
    """Return the checks of one page; properties of results are before agreement.

    So the first failure names the broken property. Properties of gradients that come after an
    agreement check stay there, because wrong results explain wrong gradients. Golden values are
    compared last.
    """
    first = next((i for i, check in enumerate(checks) if check.agreement), len(checks))
    later = [c for c in checks[first:] if c.agreement or c.gradient or module_of(c.run) == "golden"]
    return [*(c for c in checks if c not in later), *later]  # conformance-R27


def module_of(function: Callable[..., Any]) -> str:
    """Return the module of `function` without the prefix CHECKS_PACKAGE."""
    return function.__module__.removeprefix(f"{CHECKS_PACKAGE}.")


def select_checks(words: tuple[str, ...]) -> tuple[ConformanceCheck, ...]:
    """Return the checks with a page, name or rule in `words`; all checks if `words` is empty."""
    return tuple(c for c in all_checks() if is_selected(c.name, c.rules, words))


def is_selected(name: str, rules: Iterable[str], words: tuple[str, ...]) -> bool:
    """Return whether `words` is empty or contains `name`, a rule or the page of the first rule."""
    first = next(iter(rules))
    return not words or any(w in (first.split("-R")[0], name, *rules) for w in words)
