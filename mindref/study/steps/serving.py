"""The steps of serving, with the score rule of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindref.study.steps.kind import InvariantSpec, OutputSpec, QuestionSpec, StepKind

if TYPE_CHECKING:
    from mindref.study.placeholders import TraceContext

SCORE = StepKind(
    "serve.scores",
    "serve",
    "serving: score of every film for every interest",
    "The score of a film is the best score of any interest.",
    "score_xk = sum_d E_xd v_kd",
    "section 3.6, eq. 3",
    "recall-R1 recall-R5",
    ("mindref.study.top_items:find_top_items@products =",),
    (
        OutputSpec("E", "input", "items", "xd"),
        OutputSpec("score", "E:xd v:kd", "products", "xk"),
        OutputSpec("best", "max(score:xk; active:k)", "best", "x"),
        OutputSpec("brought_by", "winner(score:xk; active:k)", "brought_by", "x"),
    ),
    (
        InvariantSpec(
            "no interest has a larger score",
            "most",
            {"of": "best", "among": "score", "where": "active"},
        ),
    ),
    phase="serve",
)
TOP = StepKind(
    "serve.top",
    "serve",
    "the films with the largest scores",
    "Each film has the interest with the best score. This list includes films of the history;"
    " `mindref recall` removes them.",
    "top = the N largest best_x",
    "section 3.6",
    "recall-R7",
    ("mindref.study.top_items:find_top_items@order =",),
    (OutputSpec("top", "order(best:x; n={n})", "order", "y"),),
    (
        InvariantSpec(
            "no film outside the list has a larger score", "ordered", {"of": "top", "by": "best"}
        ),
    ),
    QuestionSpec(
        "Which interest has the best score for the first film?", "score", "top", "interest"
    ),
    phase="serve",
)


def adapt_serving_step(kind: StepKind, context: TraceContext) -> StepKind:
    """Return a serving step adapted to the settings of the model; other steps are unchanged."""
    if kind.kind == TOP.kind and context.config.score == "sum":
        title = "the films with the largest sums of scores over the interests"
        return kind._replace(title=title, paper="not in the paper")
    if kind.kind != SCORE.kind:
        return kind
    items, score, best, brought_by = kind.outputs
    why, checks, rules = kind.why, kind.checks, kind.rules
    if context.config.score == "sum":
        why = "The score of a film is the sum of its scores for all active interests."
        best, checks, rules = best._replace(recipe="score:xk active:k"), (), "recall-R3 recall-R5"
    outs: tuple[OutputSpec, ...] = (items, score, best, brought_by)
    if context.config.normalise:
        why += " Interests and item vectors have length 1 (--normalise)."
        unit = OutputSpec("v1", "unit(v:kd; kind=unit)", "interests", "kd")
        outs = (items, unit, score._replace(recipe="E:xd v1:kd"), best, brought_by)
    if context.traced_items < context.items:
        why += f" Of {context.items} films, the best films and the target are displayed."
    equation = kind.equation.replace("v_kd", "v1_kd") if context.config.normalise else kind.equation
    return kind._replace(why=why, checks=checks, rules=rules, outputs=outs, equation=equation)
