"""The invariants and the properties that a variant violates.

An invariant is checked in the trace of one pass. A property needs several passes: equal results in
a second call, after another user, or with padding, and a gradient equal to a finite difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.mutants import loader
from mindref.shapes import Array
from mindref.study import json_arrays
from mindref.study import user_summary as outcomes
from mindref.study.record import instrument_reference
from mindref.study.tracing import trace_pair
from mindref.study.variants import setups
from mindref.study.variants.entries import VariantEntry

if TYPE_CHECKING:
    from mindref.conformance.mutants.loader import BuiltModules
    from mindref.study.trace import Trace
    from mindref.study.tracing import TrainingPair

STEP = 1e-5  # step of the finite difference, in float64


class Violation(NamedTuple):
    """An invariant or a property that a variant violates."""

    step: str  # id of the step; "property" for a property
    kind: str  # "kind of step: kind of invariant" (catalogue.toml), or the name of the property
    text: str
    residual: float
    tolerance: float

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return json_arrays.numbers_to_json(self._asdict())


class CallProperty(NamedTuple):
    """A property that needs more than one pass."""

    name: str
    text: str
    tolerance: float
    residual: Callable[[TrainingPair, BuiltModules], float]


def failed_invariants(trace: Trace) -> tuple[Violation, ...]:
    """Return the violated invariants of a trace, in the order of the steps."""
    return tuple(
        Violation(step.id, f"{step.kind}: {i.check['kind']}", i.text, i.residual, i.tolerance)
        for step in trace.steps
        for i in step.invariants
        if not i.holds
    )


def variant_violations(pair: TrainingPair, entry: VariantEntry) -> tuple[Violation, ...]:
    """Return the violated invariants in the trace of a variant.

    pair: the training pair with the setup of the entry.
    """
    copies = instrument_reference(entry.mutant)
    setups.serve_other_user(pair, entry.setup, copies.modules)
    return failed_invariants(trace_pair(pair, copies=copies))


def failed_properties(
    pair: TrainingPair, mutant: loader.Mutant | None, gradient: bool = True
) -> tuple[Violation, ...]:
    """Return the violated properties of a mutant, each on fresh modules; None: of the reference.

    gradient: whether to check the gradient. If only the forward pass is edited, no public
    implementation has the backward pass of the mutant.
    """
    probes = [
        probe for probe in PROPERTIES if gradient or probe.residual is not gradient_slope_error
    ]
    residuals = [(probe, probe.residual(pair, loader.build_mutant(mutant))) for probe in probes]
    return tuple(
        Violation("property", probe.name, probe.text, residual, probe.tolerance)
        for probe, residual in residuals
        if not residual <= probe.tolerance
    )


def repeat_difference(pair: TrainingPair, built: BuiltModules) -> float:
    """Return the difference of the interests between two equal calls."""
    first = edited_interests(pair, built)
    return max_difference(first, edited_interests(pair, built))


def other_user_difference(pair: TrainingPair, built: BuiltModules) -> float:
    """Return the difference of the interests before and after a call for another user."""
    first = edited_interests(pair, built)
    edited_interests(setups.other_user(pair), built)
    return max_difference(first, edited_interests(pair, built))


def padding_difference(pair: TrainingPair, built: BuiltModules) -> float:
    """Return the difference of the interests with and without 30 padded positions."""
    first = edited_interests(pair, built)
    return max_difference(first, edited_interests(setups.pad_history(pair, 30), built))


def equal_interests(pair: TrainingPair, built: BuiltModules) -> float:
    """Return 1 if two active interests are equal although their logits differ, else 0."""
    active_interests = edited_interests(pair, built)
    active_interests = active_interests[np.any(active_interests != 0, axis=1)]
    same = len(np.unique(active_interests, axis=0)) < len(active_interests)
    differ = bool(np.ptp(pair.batch.histories.init_logits, axis=2).any())
    return float(same and differ and pair.config.routing == "dynamic")


def edited_interests(pair: TrainingPair, built: BuiltModules) -> Array:
    """Return the interests (K, D) of edited modules."""
    params, batch, catalogue, config = pair
    users, _, _ = built.mind.interests(params, batch.histories, catalogue, config, built.ops)
    return np.array(users[0])


def gradient_slope_error(pair: TrainingPair, built: BuiltModules) -> float:
    """Return the relative error of the gradient of S against a difference along the gradient."""
    config = dataclasses.replace(pair.config, routing_gradient="all")
    pair = pair._replace(config=config)
    gradient = outcomes.summarise_user(pair, built).d_bilinear
    size = float(np.linalg.norm(gradient))
    if not size:
        return 0.0

    def loss_after(by: Array) -> float:
        params = pair.params._replace(bilinear=pair.params.bilinear + by)
        return float(built.mind.loss(*pair._replace(params=params), built.ops)[0])

    step = STEP * gradient / size
    return abs((loss_after(step) - loss_after(-step)) / (2 * STEP) - size) / size


def max_difference(one: Any, other: Any) -> float:
    """Return the largest absolute difference of two arrays."""
    return float(np.abs(one - other).max(initial=0))


PROPERTIES = (
    CallProperty(
        "repeatable", "a second call returns the same interests", 1e-12, repeat_difference
    ),
    CallProperty(
        "independent-of-other-users",
        "a call for another user does not change the interests",
        1e-12,
        other_user_difference,
    ),
    CallProperty(
        "independent-of-padding",
        "30 padded positions do not change the interests",
        1e-12,
        padding_difference,
    ),
    CallProperty("distinct", "active interests differ from each other", 0.0, equal_interests),
    CallProperty(
        "exact-gradient",
        "the gradient of S equals a finite difference of the loss",
        1e-4,
        gradient_slope_error,
    ),
)
