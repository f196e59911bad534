"""The last steps: one step of Adam for two parameters, and serving."""

from __future__ import annotations

from typing import Any

from mindref.study.steps.kind import InvariantSpec, OutputSpec, StepKind, check_bounds

ADAM = "mindref.training.optimiser:update"


def adam_letters(symbol: str) -> dict[str, dict[str, str]]:
    """Return the tensors of the symbols of Adam; step 3 reads m and v after steps 1 and 2."""
    names = {"m": "first", "v": "second", "theta": "value"}
    names |= {f"{letter}'": f"{name}'" for letter, name in names.items()}
    names |= {"beta_1": "beta1", "beta_2": "beta2"}
    tensors = {letter: f"{symbol}.{name}" for letter, name in names.items()}
    after = {"m": f"{symbol}.first'", "v": f"{symbol}.second'"}
    return {"optimiser": {**tensors, "g": f"d_{symbol}"}, "optimiser forward 3": after}


def adam_step(name: str, symbol: str, letters: str, title: str, why: str) -> StepKind:
    """Return the Adam step of a parameter; `name` is the parameter in the optimiser."""
    x = letters
    before = f"{symbol}:{x}" if symbol == "S" else "input"  # only some rows are in the trace

    def of_config(setting: str) -> Any:
        return lambda arrays, context: getattr(context.config, setting)

    def complement(setting: str) -> Any:
        return lambda arrays, context: 1 - getattr(context.config, setting)

    return StepKind(
        f"update.{symbol}",
        title,
        why,
        (
            "optimiser forward 1",
            "optimiser forward 2",
            "optimiser forward.1",
            "optimiser forward.2",
            "optimiser forward 3",
        ),
        "Kingma and Ba 2015, Algorithm 1",
        "optimiser-R1 optimiser-R3 optimiser-R4",
        (
            f"{ADAM}@root =",
            f"{ADAM}@rate =",
            f"{ADAM}@m = beta1",
            f"{ADAM}@v = beta2",
            f"{ADAM}@params[name][rows] -=",
        ),
        (
            OutputSpec(f"{symbol}.beta1", "input", of_config("beta1")),
            OutputSpec(f"{symbol}.beta2", "input", of_config("beta2")),
            OutputSpec(f"{symbol}.complement1", "input", complement("beta1")),
            OutputSpec(f"{symbol}.complement2", "input", complement("beta2")),
            OutputSpec(f"{symbol}.value", before, "before.value", x),
            OutputSpec(f"{symbol}.first", "input", "before.first", x),
            OutputSpec(f"{symbol}.second", "input", "before.second", x),
            OutputSpec(
                f"{symbol}.first'",
                f"{symbol}.beta1: {symbol}.first:{x} + {symbol}.complement1: d_{symbol}:{x}",
                "after.first",
                x,
            ),
            OutputSpec(
                f"{symbol}.second'",
                f"{symbol}.beta2: {symbol}.second:{x}"
                f" + {symbol}.complement2: d_{symbol}:{x} d_{symbol}:{x}",
                "after.second",
                x,
            ),
            OutputSpec(
                f"{symbol}.value'",
                f"adam({symbol}.value:{x}; {symbol}.first':{x}; {symbol}.second':{x};"
                " rate={rate}; beta1={beta1}; beta2={beta2}; epsilon={epsilon}; step={step})",
                "after.value",
                x,
            ),
        ),
        (
            check_bounds("a second moment is not negative", f"{symbol}.second'", 0, float("inf")),
            InvariantSpec(
                "the step size is within the bound of Adam",
                "near",
                {"of": f"{symbol}.value'", "to": f"{symbol}.value", "limit": "{reach}"},
            ),
        ),
        phase="update",
        exercises=("adam-step",),
        letters=adam_letters(symbol),
        event=f"update.{name}.before update.{name}.after",
    )


MATRIX = adam_step(
    "bilinear",
    "S",
    "de",
    "Adam updates the matrix S",
    "The first step changes every number by about the learning rate, whatever its gradient is.",
)
ROWS = adam_step(
    "items",
    "items",
    "rd",
    "Adam updates the used rows of the item table",
    "An unused row keeps its value and its moments.",
)
SCORE = StepKind(
    "serve.scores",
    "serving: score of every film for every interest",
    "The score of a film is the best score of any interest.",
    ("recall forward.1", "recall forward.2"),
    "section 3.1, eq. 3",
    "recall-R1 recall-R5",
    (
        "mindref.study.top_items:find_top_items@products =",
        "mindref.study.top_items:find_top_items@best =",
    ),
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
    event="serve",
)
TOP = StepKind(
    "serve.top",
    "the films with the largest scores",
    "Each film has the interest with the best score. This list includes films of the history;"
    " `mindref recall` removes them.",
    ("recall forward.3",),
    "section 3.5",
    "recall-R7",
    ("mindref.study.top_items:find_top_items@order =",),
    (OutputSpec("top", "order(best:x; n={n})", "order", "y"),),
    (
        InvariantSpec(
            "no film outside the list has a larger score", "ordered", {"of": "top", "by": "best"}
        ),
    ),
    phase="serve",
    event="serve",
)

UPDATE_AND_SERVING = (MATRIX, ROWS, SCORE, TOP)
