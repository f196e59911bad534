"""What rings: the invariants of the variant's own trace, and what no single trace can show.

An invariant looks at one pass of one user. That an answer is the same when asked again, or after
somebody else, or with more padding, takes two passes; that a gradient is a slope takes three. Those
are the probes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.variants import loader
from mindref.shapes import Array
from mindref.study import outcome as outcomes
from mindref.study import plain
from mindref.study.run import trace_of
from mindref.study.variants import scenes
from mindref.study.variants.entries import Entry

if TYPE_CHECKING:
    from mindref.conformance.variants.loader import Built
    from mindref.study.run import Given
    from mindref.study.trace import Trace

STEP = 1e-5  # of the slope: as in study/differences.py


class Alarm(NamedTuple):
    """An invariant or a probe that does not hold."""

    step: str  # id of the step; "probe" for a probe
    kind: str  # "kind of step: kind of check", as the table lists it; the name of a probe
    text: str
    residual: float
    tolerance: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self._asdict(), "residual": plain.number(self.residual)}


class Probe(NamedTuple):
    """A property that takes more than one pass."""

    name: str
    text: str
    tolerance: float
    residual: Callable[[Given, Built], float]


def ringing(trace: Trace) -> tuple[Alarm, ...]:
    """Return the invariants of a trace that do not hold, in its order."""
    return tuple(
        Alarm(step.id, f"{step.kind}: {i.check['kind']}", i.text, i.residual, i.tolerance)
        for step in trace.steps
        for i in step.invariants
        if not i.holds
    )


def alarms(given: Given, entry: Entry) -> tuple[Alarm, ...]:
    """Return the invariants that fail when the variant's own calls of the recorder are traced.

    `given` is the user in the entry's scene.
    """
    built = loader.build(entry.mistake)
    scenes.before(given, entry.scene, built)
    return ringing(trace_of(given, modules=built))


def probed(
    given: Given, mistake: loader.Variant | None, gradient: bool = True
) -> tuple[Alarm, ...]:
    """Return the probes that fail, each with modules of its own; None: of the reference.

    gradient: whether the variant's gradient is one that somebody computes. Where only the forward
    pass was edited, the backward pass is still that of the library, and nobody's.
    """
    probes = [probe for probe in PROBES if gradient or probe.residual is not not_the_slope]
    found = [(probe, probe.residual(given, loader.build(mistake))) for probe in probes]
    return tuple(
        Alarm("probe", probe.name, probe.text, residual, probe.tolerance)
        for probe, residual in found
        if not residual <= probe.tolerance
    )


def again(given: Given, built: Built) -> float:
    """Return how far the interests are when the same is asked a second time."""
    first = interests(given, built)
    return apart(first, interests(given, built))


def after_another(given: Given, built: Built) -> float:
    """Return how far the interests are after another user from what they are before."""
    first = interests(given, built)
    interests(scenes.neighbour(given), built)
    return apart(first, interests(given, built))


def more_padding(given: Given, built: Built) -> float:
    """Return how far the interests are with padded places from what they are without."""
    first = interests(given, built)
    return apart(first, interests(scenes.padded(given, 30), built))


def alike(given: Given, built: Built) -> float:
    """Return one if two active interests are the same, from logits that differ; zero if not."""
    own = interests(given, built)
    own = own[np.any(own != 0, axis=1)]
    same = len(np.unique(own, axis=0)) < len(own)
    differ = bool(np.ptp(given.batch.histories.init_logits, axis=2).any())
    return float(same and differ and given.config.routing == "dynamic")


def interests(given: Given, built: Built) -> Array:
    """Return the interests (K, D) by the edited modules."""
    params, batch, catalogue, config = given
    users, _, _ = built.mind.interests(params, batch.histories, catalogue, config, built.ops)
    return np.array(users[0])


def not_the_slope(given: Given, built: Built) -> float:
    """Return how far the gradient of S is from the slope of the loss, along that gradient."""
    config = dataclasses.replace(given.config, routing_gradient="all")
    given = given._replace(config=config)
    gradient = outcomes.outcome(given, built).d_bilinear
    size = float(np.linalg.norm(gradient))
    if not size:
        return 0.0
    losses = [
        outcomes.loss(
            given._replace(params=given.params._replace(bilinear=given.params.bilinear + by)), built
        )
        for by in (STEP * gradient / size, -STEP * gradient / size)
    ]
    return abs((losses[0] - losses[1]) / (2 * STEP) - size) / size


def apart(one: Any, other: Any) -> float:
    """Return the largest difference of two arrays."""
    return float(np.abs(one - other).max(initial=0))


PROBES = (
    Probe("asked-again", "asked again, the answer is the same", 1e-12, again),
    Probe("after-another-user", "after another user, the answer is the same", 1e-12, after_another),
    Probe("more-padding", "with 30 padded places, the answer is the same", 1e-12, more_padding),
    Probe("distinct", "no two active interests are the same", 0.0, alike),
    Probe("slope", "the gradient of S is the slope of the loss", 1e-4, not_the_slope),
)
