"""Public bugs as backends, for `mindref conform --backend tests.public_code.bugs:LogitsReplaced`.

Each bug is one mistake of public code in an otherwise correct operator, that of
tests/conformance/independent, and its gradient is the exact gradient of the wrong function. The
bugs use neither the code of `mindref.ops` nor the mutants, so they test the diagnosis
independently. The mutants of a bug describe it: the rule, the mistake, and where it was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mindref.backend import Capabilities
from mindref.errors import ShapeError
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.argument_checks import check_floats
from tests.conformance.independent.label_attention import AttentionSaved, LabelAttention
from tests.conformance.independent.levels import IndependentBackend
from tests.conformance.independent.routing import Routing, RoutingSaved
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved
from tests.conformance.independent.squash import Squash, SquashSaved


class PublicBug(IndependentBackend):
    """A backend that claims one operator, which has a bug, and none of its optional rules."""

    stem: ClassVar[str]
    mutants: ClassVar[tuple[str, ...]]  # the same mistake in the catalogue

    def capabilities(self) -> Capabilities:
        return Capabilities((self.stem,), options=())


BUGS: list[type[PublicBug]] = []


def public_bug(stem: str, *mutants: str) -> Callable[[type], type[PublicBug]]:
    """Add a wrong operator to the bugs, and return the backend that has it."""

    def add_bug(operator: type) -> type[PublicBug]:
        names = {"stem": stem, "mutants": mutants, "operators": {stem: operator}}
        names |= {"name": operator.__name__, "__module__": __name__, "__doc__": operator.__doc__}
        BUGS.append(type(operator.__name__, (PublicBug,), names))
        return BUGS[-1]

    return add_bug


# squash


@public_bug("squash", "squash-epsilon-under-the-root")
class EpsilonSquash(Squash):
    """1e-9 is added to the squared length under the root."""

    def forward(self, x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
        check_floats("squash", x=x)
        if kind in ("unit", "none"):
            raise NotImplementedError(f"no {kind}")
        if kind != "squash":
            raise ShapeError(f"squash: kind: expected squash, got {kind}")
        with np.errstate(all="ignore"):
            square = (x * x).sum(axis=-1, keepdims=True)
            return x * (square / (1 + square) / np.sqrt(square + 1e-9).astype(x.dtype)), x

    def backward(self, d_out: Array, x: Any) -> Array:
        """Return h d_out + 2 h'(q) <x, d_out> x for x h(q) with the squared length q."""
        with np.errstate(all="ignore"):
            q = (x * x).sum(axis=-1, keepdims=True)
            root = np.sqrt(q + 1e-9).astype(x.dtype)
            h = q / (1 + q) / root
            slope = 1 / ((1 + q) * root) - h / (1 + q) - h / (2 * root * root)
            return h * d_out + 2 * slope * (x * d_out).sum(axis=-1, keepdims=True) * x


# routing


class UnmaskedSaved(NamedTuple):
    """What SoftmaxSaved has, and the softmax before its weights were masked."""

    weights: Array
    mask: Bools
    axis: int
    unmasked: SoftmaxSaved


class SoftmaxMaskedAfterwards(Softmax):
    """A softmax over too many entries; the weights of some are then set to zero."""

    axis: int

    def entries(self, mask: Bools) -> Bools:
        raise NotImplementedError

    def forward(self, logits: Array, mask: Bools, *, axis: int) -> tuple[Array, Any]:
        weights, unmasked = super().forward(logits, self.entries(mask), axis=self.axis)
        weights = np.where(mask, weights, 0)
        return weights, UnmaskedSaved(weights, mask, self.axis, unmasked)

    def backward(self, d_out: Array, saved: Any) -> Array:
        return super().backward(np.where(saved.mask, d_out, 0), saved.unmasked)


class SoftmaxOverPositions(SoftmaxMaskedAfterwards):
    axis = 1

    def entries(self, mask: Bools) -> Bools:
        return np.ones_like(mask)


class SoftmaxOverAllInterests(SoftmaxMaskedAfterwards):
    axis = 2

    def entries(self, mask: Bools) -> Bools:
        return np.broadcast_to(mask.any(axis=2, keepdims=True), mask.shape)


@public_bug("routing", "routing-padding-zeroed-after-the-softmax")
class PositionsCompete(Routing):
    def __init__(self, softmax: Softmax, squash: Squash) -> None:
        super().__init__(SoftmaxOverPositions(), squash)


@public_bug("routing", "routing-inactive-zeroed-after-each-softmax")
class InactiveCompete(Routing):
    def __init__(self, softmax: Softmax, squash: Squash) -> None:
        super().__init__(SoftmaxOverAllInterests(), squash)


@public_bug("routing", "routing-logits-kept-between-calls")
class LogitsStored(Routing):
    def __init__(self, softmax: Softmax, squash: Squash) -> None:
        super().__init__(softmax, squash)
        self.stored: dict[tuple[int, ...], Array] = {}

    def start_logits(self, init_logits: Array) -> Array:
        kept = self.stored.get(init_logits.shape[1:], np.zeros((), init_logits.dtype))
        return (init_logits + kept).astype(init_logits.dtype)

    def update_logits(self, logits: Array, weights: Array, agreement: Array) -> Array:
        shape = agreement.shape[1:]
        self.stored[shape] = self.stored.get(shape, np.zeros(shape)) + agreement.sum(axis=0)
        return super().update_logits(logits, weights, agreement)


@public_bug("routing", "routing-update-summed-over-the-batch")
class UpdateSummedOverBatch(Routing):
    def update_logits(self, logits: Array, weights: Array, agreement: Array) -> Array:
        return logits + agreement.sum(axis=0)

    def update_backward(self, d_logits: Array) -> tuple[Array, Array | float, Array]:
        return d_logits, 0.0, np.broadcast_to(d_logits.sum(axis=0), d_logits.shape)


@public_bug("routing", "routing-agreement-added-to-the-weights")
class AddedToWeights(Routing):
    def update_logits(self, logits: Array, weights: Array, agreement: Array) -> Array:
        return weights + agreement

    def update_backward(self, d_logits: Array) -> tuple[Array, Array | float, Array]:
        return np.zeros_like(d_logits), d_logits, d_logits


@public_bug("routing", "routing-logits-replaced")
class LogitsReplaced(Routing):
    def update_logits(self, logits: Array, weights: Array, agreement: Array) -> Array:
        return agreement

    def update_backward(self, d_logits: Array) -> tuple[Array, Array | float, Array]:
        return np.zeros_like(d_logits), 0.0, d_logits


@public_bug("routing", "routing-vote-with-a-bias")
class BiasedVotes(Routing):
    def compute_votes(self, history: Array, bilinear: Array) -> Array:
        bias = np.cos(np.arange(bilinear.shape[-1])).astype(bilinear.dtype)
        return super().compute_votes(history, bilinear) + bias


@public_bug("routing", "routing-without-a-matrix")
class NoMatrix(Routing):
    def compute_votes(self, history: Array, bilinear: Array) -> Array:
        return history.copy()

    def votes_backward(
        self, d_votes: Array, history: Array, bilinear: Array
    ) -> tuple[Array, Array]:
        return d_votes, np.zeros_like(bilinear)


@public_bug("routing", "routing-length-one-between-iterations")
class UnitBetweenIterations(Routing):
    def squash_sums(self, sums: Array, kind: str, *, is_last: bool) -> tuple[Array, SquashSaved]:
        return super().squash_sums(sums, kind if is_last else "unit", is_last=is_last)


@public_bug("routing", "routing-always-three-iterations")
class AlwaysThreeIterations(Routing):
    def read_iterations(self, iterations: int) -> int:
        return 3


@public_bug(
    "routing",
    "routing-no-update-after-the-third-iteration",
    "routing-last-only-from-three-iterations-on",
)
class GradientOfThirdIteration(Routing):
    """Later iterations repeat the third; one or two iterations have no gradient with "last"."""

    def read_iterations(self, iterations: int) -> int:
        return min(iterations, 3)

    def backward(self, d_capsules: Array, saved: RoutingSaved) -> tuple[Array, ...]:
        d_history, d_bilinear, *others = super().backward(d_capsules, saved)
        if saved.gradient == "last" and len(saved.iterations) < 3:
            return np.zeros_like(d_history), np.zeros_like(d_bilinear), *others
        return d_history, d_bilinear, *others


@public_bug("routing", "routing-starts-from-zero")
class ZeroLogits(Routing):
    def start_logits(self, init_logits: Array) -> Array:
        return np.zeros_like(init_logits)

    def backward(self, d_capsules: Array, saved: RoutingSaved) -> tuple[Array, ...]:
        d_history, d_bilinear, d_logits, *others = super().backward(d_capsules, saved)
        return d_history, d_bilinear, np.zeros_like(d_logits), *others


# label-aware attention


@public_bug("label_attention", "power-before-argmax")
class PowerBeforeArgmax(LabelAttention):
    """For p >= 100 an argmax, but of the powers."""

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        self.raised_to = power
        power = np.inf if power >= 100 else power
        return super().forward(interests, target, active, power=power)

    def index_largest(self, scores: Array) -> Ints:
        with np.errstate(all="ignore"):
            powers = np.where(np.isneginf(scores), -np.inf, scores**self.raised_to)
        return powers.argmax(axis=1)


@public_bug("label_attention", "power-of-a-signed-score", "power-loses-the-sign")
class RawPower(LabelAttention):
    def raise_power(self, x: Array, p: Any) -> Array:
        return x**p

    def power_slope(self, scores: Array, p: Any) -> Array:
        return p * scores ** (p - 1)


@public_bug("label_attention", "power-multiplies")
class PowerMultiplied(LabelAttention):
    def subtract_largest(self, scores: Array, active: Bools, power: float) -> Array:
        largest = np.where(active, scores, -np.inf).max(axis=1, keepdims=True)
        return (scores - largest) * scores.dtype.type(power)

    def power_slope(self, scores: Array, p: Any) -> Array:
        return np.full_like(scores, p)


@public_bug("label_attention", "power-is-always-infinite")
class AlwaysArgmax(LabelAttention):
    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        self.check_inputs(interests, target, active, power)
        return super().forward(interests, target, active, power=np.inf)


class SoftmaxOverAll(Softmax):
    def forward(self, logits: Array, mask: Bools, *, axis: int) -> tuple[Array, SoftmaxSaved]:
        return super().forward(logits, np.ones_like(mask), axis=axis)


@public_bug(
    "label_attention",
    "inactive-interests-are-read",
    "softmax-masked-after-the-sum",
    "weights-not-normalised-over-active",
)
class InactiveAttended(LabelAttention):
    """Inactive interests are zero, and take part in the softmax."""

    def __init__(self, softmax: Softmax) -> None:
        super().__init__(SoftmaxOverAll())

    def subtract_largest(self, scores: Array, active: Bools, power: float) -> Array:
        return super().subtract_largest(scores, np.ones_like(active), power)

    def backward(self, d_out: Array, saved: AttentionSaved) -> tuple[Array, Array]:
        d_interests, d_target = super().backward(d_out, saved)
        return np.where(saved.active[:, :, None], d_interests, 0), d_target


class OnesForSoftmax(Softmax):
    def forward(self, logits: Array, mask: Bools, *, axis: int) -> tuple[Array, SoftmaxSaved]:
        return mask.astype(logits.dtype), SoftmaxSaved(mask.astype(logits.dtype), mask, axis)

    def backward(self, d_out: Array, saved: SoftmaxSaved) -> Array:
        return np.zeros_like(d_out)


@public_bug("label_attention", "attention-over-an-axis-of-one")
class SizeOneAxis(LabelAttention):
    def __init__(self, softmax: Softmax) -> None:
        super().__init__(OnesForSoftmax())

    def select_largest(self, scores: Array, active: Bools) -> Array:
        return active.astype(scores.dtype)


# sampled softmax


@public_bug("sampled_softmax", "no-log-q")
class NoCorrection(SampledSoftmax):
    def read_log_expected(self, log_expected: Array) -> Array:
        return np.zeros_like(log_expected)


@public_bug("sampled_softmax", "hits-kept")
class AccidentalHitsKept(SampledSoftmax):
    def accidental_hits(self, target_ids: Ints, negative_ids: Ints) -> Bools:
        return np.zeros((len(target_ids), len(negative_ids)), np.bool_)


@public_bug("sampled_softmax", "temperature-unused")
class TemperatureUnused(SampledSoftmax):
    def read_temperature(self, temperature: float) -> float:
        return 1.0


@public_bug("sampled_softmax", "only-users-normalised")
class OnlyUsersNormalised(SampledSoftmax):
    def item_to_unit_length(self, x: Array) -> tuple[Array, SquashSaved]:
        return self.squash.forward(x, kind="none")
