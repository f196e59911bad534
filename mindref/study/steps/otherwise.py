"""What is said where a setting makes another computation of a step than the paper's.

The table of steps is written for the model of the paper. A sentence, an equation or a line of code
that would not be true of the model at hand is replaced here, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mindref.study.steps.forward import MIND
from mindref.study.steps.kind import Ask, Kind
from mindref.study.steps.loss import ATTENTION
from mindref.study.steps.routing import ROUTING, WEIGHTS
from mindref.study.steps.serving import serving

if TYPE_CHECKING:
    from mindref.study.words import About


class Case(NamedTuple):
    """A kind of step, when it is another, and what is said then."""

    kind: str
    holds: Callable[[About], bool]
    says: dict[str, Any]


def case(kind: str, holds: Callable[[About], bool], **says: Any) -> Case:
    """Return a case."""
    return Case(kind, holds, says)


def power(about: About) -> float:
    """Return the power of the attention; the mean of the interests is that of power 0."""
    return about.config.power if about.config.attention == "label" else 0.0


def has(setting: str, value: Any) -> Callable[[About], bool]:
    """Return the test of a setting."""
    return lambda about: bool(getattr(about.config, setting) == value)


def no_profile(about: About) -> bool:
    """Return whether the model has no user features."""
    return not about.profile[0]


FORWARD = (
    case(
        "ids",
        no_profile,
        why="All that the model is told of a user is what the user did, at most the last {window};"
        " everything else is learned.",
    ),
    *(
        case(
            f"{use}.embed",
            lambda about: about.features > 1,
            code=(
                f"{MIND}:item_vectors@ops.embedding.forward",
                "mindref.ops.embedding:forward@embedding-R1",
            ),
        )
        for use in ("history", "target", "negatives")
    ),
    case(
        "interests.count",
        has("interest_count", "fixed"),
        title="how many interests this user has",
        why="This model gives everybody all K; the paper's K' grows with the logarithm of n.",
        equation="K' = K",
        paper="not in the paper",
        rules="model-R7",
        code=(f"{MIND}:active_after@model-R7",),
        ask=None,
    ),
    case(
        "routing.logits",
        has("sigma", 0.0),
        title="the routing logits start at zero, as sigma is 0",
        why="With equal logits all interests stay equal forever: nothing tells them apart.",
        variants=("redrawn-at-every-call", "batch-summed-logits"),
    ),
    case(
        "routing.logits",
        has("routing", "uniform"),
        title="no logits are drawn: uniform routing shares every behaviour out alike",
        why="All interests come out equal; that is what this setting is there to show.",
        equation="b_ij = 0",
        paper="not in the paper",
        rules="model-R12",
        code=(f"{MIND}:interests@model-R12",),
        variants=(),
    ),
    case(
        "routing.weights",
        has("routing_axis", "behaviours"),
        title="each interest shares itself out over the behaviours",
        why="An interest has one voice: what it takes of one behaviour it does not take of others.",
        equation="w_ij = exp(b_ij) / sum_l exp(b_lj)",
        paper="another reading of eq. 6",
        ask=Ask(
            "Which interest gives {row} the largest weight?",
            "w[r]",
            "largest",
            "interest",
            "behaviour",
        ),
        variants=tuple(x for x in WEIGHTS.variants if x != "softmax-over-behaviours"),
    ),
    case(
        "routing.capsules",
        has("squash", "unit"),
        title="unit: the length becomes 1, the direction is kept",
        why="No interest is surer than another: only directions are left.",
        equation="v_jd = z_jd / |z_j|",
        paper="not in the paper",
        rules="routing-R4 squash-R6",
        code=(f"{ROUTING}:forward@routing-R4", "mindref.ops.squash:forward@return unit, Saved"),
        ask=None,
    ),
    case(
        "routing.capsules",
        has("squash", "none"),
        title="no squash: the sum is the capsule",
        why="Its length says how much the behaviours gave, and has no bound.",
        equation="v_jd = z_jd",
        paper="not in the paper",
        rules="routing-R4 squash-R7",
        code=(f"{ROUTING}:forward@routing-R4", "mindref.ops.squash:forward@return x.copy()"),
        ask=Ask("Which interest is the longest?", "v[r]", "longest", "interest"),
    ),
    case(
        "interests.join",
        no_profile,
        title="the capsules go into the layers as they are",
        why="This model has no user features; a profile would stand behind every capsule.",
        equation="x_jd = v_jd",
    ),
    case("interests.active", has("last_relu", True), equation="u_jd = active_j x_jd"),
)
LOSS = (
    case(
        "negatives.draw",
        has("sampler", "uniform"),
        why="Every item is drawn as often as any other, so the correction is the same for all.",
    ),
    case(
        "negatives.draw",
        has("loss", "full"),
        why="This model was trained against the whole catalogue; some are drawn here, to be shown.",
    ),
    case(
        "attention.scores",
        lambda about: power(about) == 0,
        why="In this model nothing comes of it: all interests count alike, whatever the target.",
    ),
    case(
        "attention.power",
        lambda about: power(about) == 0,
        title="the power 0 makes all scores alike",
        why="So every interest gets the same weight: this is the mean of the interests.",
        equation="g_j = 0",
    ),
    case(
        "attention.weights",
        lambda about: power(about) == 0,
        why="All active interests weigh alike: the target has no say.",
        rules="label_attention-R5",
    ),
    case(
        "attention.weights",
        lambda about: power(about) == float("inf"),
        why="The target takes the interest that fits it best, which alone learns from this pair.",
        equation="h_j = 1 for the largest s_j, 0 for the others",
        rules="label_attention-R6",
        code=(f"{ATTENTION}:forward@one_hot_of_largest",),
    ),
)
BACKWARD = (
    case("interests.d_active", has("last_relu", True), equation="d_x_jd = active_j d_u_jd"),
    case(
        "interests.d_join",
        no_profile,
        title="the gradient of the capsules, as the layers send it",
        why="There is no profile behind the capsules, so nothing is cut off.",
    ),
    case(
        "routing.d_weights",
        has("routing_axis", "behaviours"),
        why="What an interest gives to one behaviour the others lose: each column adds up to zero.",
        equation="d_b_ij = d_b'_ij + w_ij (d_w_ij - sum_l w_lj d_w_lj)",
    ),
    case(
        "routing.d_votes",
        lambda about: about.config.routing_gradient == "last" and about.rounds > 1,
        title="the way by the last sums, back through S",
        why="Of the 2R - 1 places where m is used, routing_gradient = last follows this one alone;"
        " the ledger shows each.",
    ),
)
CASES = (*FORWARD, *LOSS, *BACKWARD)


def fitting(kind: Kind, about: About) -> Kind:
    """Return the kind as it is said of this model."""
    for each in CASES:
        if each.kind == kind.kind and each.holds(about):
            kind = kind._replace(**each.says)
    return serving(kind, about)


def places() -> list[str]:
    """Return every place of the code that is shown for some model only."""
    return [place for each in CASES for place in each.says.get("code", ())]
