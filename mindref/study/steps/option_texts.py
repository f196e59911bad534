"""Texts, formulas and source lines of steps that depend on a setting.

The table of steps describes the model of the paper. This module replaces the parts that are wrong
for a model with another setting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mindref.study.steps.forward import MIND
from mindref.study.steps.kind import OutputSpec, StepKind
from mindref.study.steps.loss import ATTENTION
from mindref.study.steps.routing import ROUTING, WEIGHTS
from mindref.study.steps.update_and_serving import SCORE, TOP

if TYPE_CHECKING:
    from mindref.study.placeholders import TraceContext


class OptionText(NamedTuple):
    """The replaced fields of a step, and the settings that require them."""

    kind: str
    holds: Callable[[TraceContext], bool]
    fields: dict[str, Any]


def option_text(kind: str, holds: Callable[[TraceContext], bool], **fields: Any) -> OptionText:
    """Return the replaced fields of a step for some settings."""
    return OptionText(kind, holds, fields)


def setting_is(setting: str, value: Any) -> Callable[[TraceContext], bool]:
    """Return a test of one setting."""
    return lambda context: bool(getattr(context.config, setting) == value)


def no_profile(context: TraceContext) -> bool:
    """Return whether the model has no user features."""
    return not context.profile[0]


FORWARD = (
    option_text(
        "ids", no_profile, why="The input of the model is the last {window} films of the user."
    ),
    *(
        option_text(
            f"{use}.embed",
            lambda context: context.features > 1,
            code=(
                f"{MIND}:item_vectors@ops.embedding.forward",
                "mindref.ops.embedding:forward@embedding-R1",
            ),
        )
        for use in ("history", "target", "negatives")
    ),
    option_text(
        "interests.count",
        setting_is("interest_count", "fixed"),
        title="number of active interests of this user",
        why="Every user with a history has K active interests; in the paper K' grows with log n.",
        formulas=('model option interest_count="fixed"',),
        paper="not in the paper",
        rules="model-R7",
        code=(f"{MIND}:active_after@model-R7",),
    ),
    option_text(
        "routing.logits",
        setting_is("sigma", 0.0),
        title="the initial routing logits are 0, because sigma is 0",
        why="From equal logits, all interests stay equal in every iteration.",
        variants=("redrawn-at-every-call", "batch-summed-logits"),
    ),
    option_text(
        "routing.logits",
        setting_is("routing", "uniform"),
        title="uniform routing: all logits are 0",
        why="All interests are equal; the setting is a baseline.",
        formulas=('model option routing="uniform"',),
        paper="not in the paper",
        rules="model-R12",
        code=(f"{MIND}:interests@model-R12",),
        variants=(),
    ),
    option_text(
        "routing.weights",
        setting_is("routing_axis", "behaviours"),
        title="each interest divides a weight of 1 among the films",
        why="The coupling weights of an interest sum to 1, so the films compete for the interest.",
        formulas=('routing option axis="behaviours"',),
        paper="another reading of eq. 6",
        variants=tuple(x for x in WEIGHTS.variants if x != "softmax-over-behaviours"),
    ),
    option_text(
        "routing.capsules",
        setting_is("squash", "unit"),
        title="unit: length 1, same direction",
        why="All capsules have the same length; only the direction differs.",
        formulas=('routing option kind="unit"',),
        paper="not in the paper",
        rules="routing-R4 squash-R6",
        code=(f"{ROUTING}:forward@routing-R4", "mindref.ops.squash:forward@return unit, Saved"),
    ),
    option_text(
        "routing.capsules",
        setting_is("squash", "none"),
        title="no squash: the sum is the capsule",
        why="The length of a capsule has no bound.",
        formulas=('routing option kind="none"',),
        paper="not in the paper",
        rules="routing-R4 squash-R7",
        code=(f"{ROUTING}:forward@routing-R4", "mindref.ops.squash:forward@return x.copy()"),
    ),
    option_text(
        "interests.join",
        no_profile,
        title="the capsules are the input of the layers",
        why="This model has no user features, so there is no profile to join.",
        formulas=("model option no user features",),
    ),
)
LOSS = (
    option_text(
        "negatives.draw",
        setting_is("sampler", "uniform"),
        why="Every film has the same expected count, so the correction is the same for all films.",
    ),
    option_text(
        "negatives.draw",
        setting_is("loss", "full"),
        why="This model was trained with the full softmax. The trace samples some negatives.",
    ),
    option_text(
        "attention.scores",
        lambda context: context.config.effective_power == 0,
        why="This model averages the interests, so the scores have no effect.",
    ),
    option_text(
        "attention.power",
        lambda context: context.config.effective_power == 0,
        title="the power 0 makes all scores equal",
        why="Every active interest gets the same weight: the result is the mean of the interests.",
        formulas=("label_attention option power=0",),
        rules="label_attention-R5",
        code=(f"{ATTENTION}:gaps_below_largest@label_attention-R5",),
    ),
    option_text(
        "attention.weights",
        lambda context: context.config.effective_power == 0,
        why="All active interests have the same weight, whatever the target is.",
        rules="label_attention-R5",
    ),
    option_text(
        "attention.weights",
        lambda context: context.config.effective_power == float("inf"),
        why="The interest with the largest score has all the weight and all the gradient.",
        formulas=("label_attention option power=inf",),
        rules="label_attention-R6",
        code=(f"{ATTENTION}:forward@one_hot_of_largest",),
    ),
)
BACKWARD = (
    option_text(
        "interests.d_join",
        no_profile,
        title="gradient of the loss with respect to the capsules",
        why="Without a profile, the gradient of the layer input is that of the capsules.",
    ),
    option_text(
        "routing.d_weights",
        setting_is("routing_axis", "behaviours"),
        why="The coupling weights of an interest sum to 1, so each column of gradients sums to 0.",
        formulas=("routing backward 3.2", "routing backward 2.2"),
    ),
    option_text(
        "routing.d_votes",
        lambda context: context.config.routing_gradient == "last" and context.iterations > 1,
        title="gradient of the loss with respect to votes, S and item vectors, last iteration",
        why="The votes have 2r - 1 uses. With routing_gradient = last, the gradient has one term.",
    ),
)
OPTION_TEXTS = (*FORWARD, *LOSS, *BACKWARD)


def adapt_step_kind(kind: StepKind, context: TraceContext) -> StepKind:
    """Return a step with the texts for the settings of the model."""
    for each in OPTION_TEXTS:
        if each.kind == kind.kind and each.holds(context):
            kind = kind._replace(**each.fields)
    return adapt_serving_step(kind, context)


def option_anchors() -> list[str]:
    """Return the source anchors that only some settings use."""
    return [anchor for each in OPTION_TEXTS for anchor in each.fields.get("code", ())]


def adapt_serving_step(kind: StepKind, context: TraceContext) -> StepKind:
    """Return a serving step adapted to the settings of the model; other steps are unchanged."""
    if kind.kind == TOP.kind and context.config.score == "sum":
        title = "the films with the largest sums of scores over the interests"
        return kind._replace(title=title, paper="not in the paper")
    if kind.kind != SCORE.kind:
        return kind
    items, score, best, brought_by = kind.outputs
    why, checks, rules, formulas = kind.why, kind.checks, kind.rules, kind.formulas
    if context.config.score == "sum":
        why = "The score of a film is the sum of its scores for all active interests."
        formulas = (formulas[0], 'recall option score="sum"')
        best, checks, rules = best._replace(recipe="score:xk active:k"), (), "recall-R3 recall-R5"
    outs: tuple[OutputSpec, ...] = (items, score, best, brought_by)
    if context.config.normalise:
        why += " Interests and item vectors have length 1 (--normalise)."
        unit = OutputSpec("v1", "unit(v:kd; kind=unit)", "interests", "kd")
        outs = (items, unit, score._replace(recipe="E:xd v1:kd"), best, brought_by)
    if context.traced_items < context.items:
        why += f" Of {context.items} films, the best films and the target are displayed."
    return kind._replace(why=why, checks=checks, rules=rules, outputs=outs, formulas=formulas)
