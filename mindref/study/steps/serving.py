"""The steps of serving, by the rule of the model at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindref.study.steps.kind import Ask, Check, Kind, Out

if TYPE_CHECKING:
    from mindref.study.words import About

SCORE = Kind(
    "serve.scores",
    "serve",
    "serving: every item is held against every interest",
    "No target is known now. An item is worth what its best interest says.",
    "score_xj = sum_d E_xd u_jd",
    "section 3.6, eq. 3",
    "recall-R1 recall-R5",
    ("mindref.study.serve:serve@products =",),
    (
        Out("E", "item width", "given", "items", "xd"),
        Out("score", "item interest", "E:xd u:jd", "products", "xj"),
        Out("best", "item", "max(score:xj; active:j)", "best", "x"),
        Out("brought_by", "item", "winner(score:xj; active:j)", "brought_by", "x"),
    ),
    (
        Check(
            "no interest beats the best",
            "most",
            {"of": "best", "among": "score", "where": "active"},
        ),
    ),
    phase="serve",
)
TOP = Kind(
    "serve.top",
    "serve",
    "the items in the order of their best score",
    "Each is shown with the interest that brought it. Here the list keeps what the user has had;"
    " `mindref recall` leaves it out.",
    "top = the N largest best_x",
    "section 3.6",
    "recall-R7",
    ("mindref.study.serve:serve@order =",),
    (Out("top", "place", "order(best:x; n={n})", "order", "y"),),
    (Check("no better item is left out", "ordered", {"of": "top", "by": "best"}),),
    Ask("Which interest brings the first item?", "score", "top", "interest"),
    phase="serve",
)


def serving(kind: Kind, about: About) -> Kind:
    """Return a kind of step as it is said of this model; those that do not serve stay."""
    if kind.kind == TOP.kind and about.config.score == "sum":
        title = "the items in the order of their scores, summed over the interests"
        return kind._replace(title=title, paper="not in the paper")
    if kind.kind != SCORE.kind:
        return kind
    items, score, best, brought_by = kind.outs
    why, checks, rules = kind.why, kind.checks, kind.rules
    if about.config.score == "sum":
        why = "No target is known now. An item is worth what all its interests say together."
        best, checks, rules = best._replace(recipe="score:xj active:j"), (), "recall-R3 recall-R5"
    outs: tuple[Out, ...] = (items, score, best, brought_by)
    if about.config.normalise:
        why += " Interests and items have length one here (--normalise)."
        unit = Out("u1", "interest width", "unit(u:jd; kind=unit)", "interests", "jd")
        outs = (items, unit, score._replace(recipe="E:xd u1:jd"), best, brought_by)
    if about.shown < about.items:
        why += f" Of {about.items} items the best are shown, and the target."
    equation = kind.equation.replace("u_jd", "u1_jd") if about.config.normalise else kind.equation
    return kind._replace(why=why, checks=checks, rules=rules, outs=outs, equation=equation)
