"""The optimiser's step on two parameters, and serving."""

from __future__ import annotations

from typing import Any

from mindref.study.steps.kind import Check, Kind, Out, between
from mindref.study.steps.serving import SCORE, TOP

ADAM = "mindref.training.optimiser:update"


def update(name: str, symbol: str, axes: str, letters: str, title: str, why: str) -> Kind:
    """Return the step of Adam on a parameter; `name` as the optimiser knows it."""
    x = letters
    before = f"{symbol}:{x}" if symbol == "S" else "given"  # of the table, only rows are shown

    def of_config(setting: str) -> Any:
        return lambda arrays, about: getattr(about.config, setting)

    def rest(setting: str) -> Any:
        return lambda arrays, about: 1 - getattr(about.config, setting)

    return Kind(
        f"update.{symbol}",
        f"update.{name}.before update.{name}.after",
        title,
        why,
        f"first' = beta1 first + (1 - beta1) d_{symbol}; second' = beta2 second + (1 - beta2)"
        f" d_{symbol}^2; value' = value - rate first' / (sqrt(second') + epsilon)",
        "Kingma and Ba 2015, Algorithm 1",
        "optimiser-R1 optimiser-R3 optimiser-R4",
        (f"{ADAM}@m = beta1", f"{ADAM}@v = beta2", f"{ADAM}@optimiser-R4"),
        (
            Out(f"{symbol}.beta1", "", "given", of_config("beta1"), ""),
            Out(f"{symbol}.beta2", "", "given", of_config("beta2"), ""),
            Out(f"{symbol}.rest1", "", "given", rest("beta1"), ""),
            Out(f"{symbol}.rest2", "", "given", rest("beta2"), ""),
            Out(f"{symbol}.value", axes, before, "before.value", x),
            Out(f"{symbol}.first", axes, "given", "before.first", x),
            Out(f"{symbol}.second", axes, "given", "before.second", x),
            Out(
                f"{symbol}.first'",
                axes,
                f"{symbol}.beta1: {symbol}.first:{x} + {symbol}.rest1: d_{symbol}:{x}",
                "after.first",
                x,
            ),
            Out(
                f"{symbol}.second'",
                axes,
                f"{symbol}.beta2: {symbol}.second:{x}"
                f" + {symbol}.rest2: d_{symbol}:{x} d_{symbol}:{x}",
                "after.second",
                x,
            ),
            Out(
                f"{symbol}.value'",
                axes,
                f"adam({symbol}.value:{x}; {symbol}.first':{x}; {symbol}.second':{x};"
                " rate={rate}; beta1={beta1}; beta2={beta2}; epsilon={epsilon}; step={step})",
                "after.value",
                x,
            ),
        ),
        (
            between("a second moment is not negative", f"{symbol}.second'", 0, float("inf")),
            Check(
                "no number moves further than the rate allows",
                "near",
                {"of": f"{symbol}.value'", "to": f"{symbol}.value", "limit": "{reach}"},
            ),
        ),
        phase="update",
        exercises=("adam-step",),
    )


MATRIX = update(
    "bilinear",
    "S",
    "width width",
    "de",
    "Adam moves S, the matrix that all pairs share",
    "The first step moves every number by about the learning rate, however small its gradient.",
)
ROWS = update(
    "items",
    "items",
    "row width",
    "rd",
    "Adam moves the rows of the table that were used, and no other",
    "A row that was not used keeps its value and its moments.",
)
AFTER = (MATRIX, ROWS, SCORE, TOP)
