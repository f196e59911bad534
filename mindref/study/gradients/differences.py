"""Centred finite differences of the loss by any one number of the computation.

Spec: specs/model.md; the method is the usual one, (loss(x + h) - loss(x - h)) / 2h in float64. What
is given is moved in the real loss, `mindref.models.mind.loss`; what comes about on the way is moved
in the same pass written out flat (study/unrolled.py). With routing_gradient="last" the model's
gradient is that of another function, in which the weights of the last round are constants: then the
differences hold them fixed, too, and say so. Between x - h and x + h a rectifier may open
or an argmax may change: such a corner has no slope, so h is made smaller until none lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.errors import ConfigError, say
from mindref.models import mind
from mindref.shapes import Array
from mindref.study.close import closest
from mindref.study.gradients import givens, unrolled

if TYPE_CHECKING:
    from mindref.study.run import Given

STEP = {"float64": 1e-5, "float32": 1e-2}
"""The step h of each type, near the cube root of its precision: error of rounding (precision / h)
and of the formula (h^2) are then alike."""

LADDER = tuple(float(f"{digit}e-{power}") for power in range(1, 14) for digit in (1, 0.3))[:-1]
"""The steps of a curve, two a decade from 1e-1 to 1e-13."""

SMALLEST = 1e-8
"""No corner is avoided by a smaller step than this."""

MOVED_BY = {
    "d_t": "t.loss",
    "d_query": "query",
    "d_target": "t",
    "d_o": "o.product",
    "d_o_t": "o_t.product",
}
"""Gradients of the trace whose name is not "d_" and the tensor that is moved."""

FLOOR = 1e-8
"""What a relative error is never measured against less than."""


@dataclass(frozen=True)
class Difference:
    """The slope of the loss by one number, found without any gradient."""

    tensor: str
    index: tuple[int, ...]
    value: float  # of that number
    difference: float  # (loss(+h) - loss(-h)) / 2h
    step: float  # the h used
    corner: bool  # whether h was made smaller
    frozen: bool  # whether the weights of the last round were held fixed

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Curve:
    """The error of the finite difference against the step h."""

    tensor: str
    index: tuple[int, ...]
    closed: float  # the gradient that it is compared with
    h: tuple[float, ...]
    float64: tuple[float, ...]  # relative errors, one for each h
    float32: tuple[float, ...]  # everything computed in float32
    corner: tuple[bool, ...]  # whether a corner lies within -h and +h
    chosen: dict[str, float]  # type -> the h that is used
    best: dict[str, float]  # type -> the h of the smallest error

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def difference(
    given: Given,
    tensor: str,
    index: Sequence[int],
    step: float = 0,
    frozen: bool | None = None,
) -> Difference:
    """Return the centred difference of the loss by one entry of a tensor.

    tensor: a name of the trace ("S", "w[2]"), or one of study/unrolled.py; step h > 0, or 0 for
    that of float64; frozen: whether the weights of the last round are held fixed, by default where
    the model's own gradient holds them. Raises ConfigError for a tensor that the loss does not read
    as a number, and for an index outside it.
    """
    whole = array_of(given, tensor)
    value = entry(tensor, whole, index)
    frozen = given.config.routing_gradient == "last" if frozen is None else frozen
    if tensor in givens.names(given) and not frozen:
        evaluate = in_loss(given, tensor, index)
    else:
        weights = unrolled.last_weights(given) if frozen else None
        evaluate = in_pass(given, tensor, unit(whole, index), index, weights)
    h = step or STEP["float64"]
    slope, used = smooth(evaluate, h)
    return Difference(tensor, tuple(int(i) for i in index), value, slope, used, used < h, frozen)


def curve(given: Given, tensor: str, index: Sequence[int], closed: float) -> Curve:
    """Return the error of the difference against `closed` for every step of the ladder.

    `closed` is the exact gradient, routing_gradient="all". A parameter is not a table here, and
    nothing is held fixed.
    """
    whole = array_of(given, tensor)
    entry(tensor, whole, index)
    errors: dict[str, tuple[float, ...]] = {}
    corners: tuple[bool, ...] = ()
    offsets = np.concatenate([h * unit(whole, index) for h in LADDER])
    for dtype in STEP:
        both = unrolled.forward(given, {tensor: np.concatenate([offsets, -offsets])}, dtype)
        up, down = np.split(both.losses.astype(np.float64), 2)
        slopes = (up - down) / (2 * np.array(LADDER))
        errors[dtype] = tuple(rounded(relative_error(closed, float(slope))) for slope in slopes)
        if dtype == "float64":
            here, there = np.split(both.sides, 2)
            corners = tuple(bool(x) for x in (here != there).any(axis=1))
    best = {dtype: LADDER[int(np.nanargmin(e))] for dtype, e in errors.items()}
    place = tuple(int(i) for i in index)
    return Curve(tensor, place, closed, LADDER, **errors, corner=corners, chosen=STEP, best=best)


def moved_by(gradient: str) -> str:
    """Return which tensor is moved to check a gradient of the trace: "S" for "d_S".

    Some are of one use of a tensor, or of all of several. Those of the logits are the library's:
    by the products, before they are divided by the temperature.
    """
    name, bracket, turn = gradient.partition("[")
    if name == "from_sums":
        return f"m@z[{turn}"
    if name == "from_agreement":
        return f"m@b[{int(turn.rstrip(']')) + 1}]"
    return MOVED_BY.get(gradient, f"{name.removeprefix('d_')}{bracket}{turn}")


def rounded(error: float) -> float:
    """Return an error to three digits: it is drawn, not compared."""
    return float(f"{error:.3g}")


def relative_error(closed: float, slope: float) -> float:
    """Return |closed - slope| over the larger of both, or over a floor where both are tiny."""
    return abs(closed - slope) / max(abs(closed), abs(slope), FLOOR)


def smooth(evaluate: Callable[[float], tuple[float, bytes]], h: float) -> tuple[float, float]:
    """Return the slope at 0 and the step: h, or less, so that no corner lies within it."""
    while True:
        (up, above), (down, below) = evaluate(h), evaluate(-h)
        if above == below or h <= SMALLEST:
            return (up - down) / (2 * h), h
        h /= 10


def in_loss(
    given: Given, tensor: str, index: Sequence[int]
) -> Callable[[float], tuple[float, bytes]]:
    """Return the model's own loss and the sides of its corners, by the move of a given number."""

    def evaluate(by: float) -> tuple[float, bytes]:
        loss, saved = mind.loss(*givens.changed(given, tensor, index, by))
        return float(loss), sides(saved)

    return evaluate


def in_pass(
    given: Given, tensor: str, one: Array, index: Sequence[int], weights: Array | None
) -> Callable[[float], tuple[float, bytes]]:
    """Return the loss and the sides of its corners, by the move of a number on the way.

    one: (1, *shape), one at the index. What is given can be moved here as well; weights: of the
    last round, to be held fixed.
    """
    own = tensor in givens.names(given)

    def evaluate(by: float) -> tuple[float, bytes]:
        here = givens.changed(given, tensor, index, by) if own else given
        done = unrolled.forward(here, {} if own else {tensor: by * one}, weights=weights)
        return float(done.losses[0]), done.sides.tobytes()

    return evaluate


def sides(saved: Any) -> bytes:
    """Return on which side of each corner a pass of the model went."""
    passed = [s.passed.tobytes() for s in saved.interests.layers if s.passed is not None]
    attention = saved.attention
    hard = np.isinf(attention.power)
    chosen = attention.weights.out > 0 if hard else attention.scores > 0
    return b"".join(passed) + (chosen.tobytes() if hard or 0 < attention.power < 1 else b"")


def entry(tensor: str, whole: Array, index: Sequence[int]) -> float:
    """Return the number at an index of a tensor; raise ConfigError where there is none."""
    inside = len(index) == whole.ndim and all(
        0 <= i < size for i, size in zip(index, whole.shape, strict=True)
    )
    if not inside:
        raise ConfigError(say(tensor, f"an index within {whole.shape}", tuple(index)))
    return float(whole[tuple(index)])


def array_of(given: Given, tensor: str) -> Array:
    """Return a tensor by name, without the axis of users."""
    own = givens.names(given)
    if tensor in own:
        return own[tensor]
    values = unrolled.forward(given, {}).values
    if tensor not in values:
        known = (*own, *values)
        hint = closest(tensor, known)
        raise ConfigError(say("tensor", "one that the loss depends on", tensor, hint))
    return values[tensor][0]


def unit(whole: Array, index: Sequence[int]) -> Array:
    """Return one at the index and zero elsewhere, (1, *shape of the tensor)."""
    one = np.zeros((1, *np.shape(whole)))
    one[(0, *index)] = 1.0
    return one
