"""The gradient ledger: the gradient through routing as an exact sum over the places of use.

Spec: specs/routing.md (backward). The mapped behaviours m = S e are used 2R - 1 times in R rounds:
every round sums them to its capsules (rows z1 .. zR), and every round but the last lets them agree
with its capsules to update the logits (rows b2 .. bR). Write the loop out with a copy of m at each
place of use: a row is the partial derivative by that copy alone, and by the chain rule the gradient
is the sum of the rows. The rows are what the library's own backward pass adds up; each is checked
by finite differences that move its copy and no other. With routing_gradient="last" the library
keeps row zR and nothing else.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.errors import ConfigError, say
from mindref.models import mind
from mindref.shapes import Array
from mindref.study import plain
from mindref.study.gradients import slopes

if TYPE_CHECKING:
    from mindref.study.run import Given

WHAT = {
    "m": "gradient of the loss by the mapped behaviours m = S e",
    "S": "gradient of the loss by the matrix S",
    "e": "gradient of the loss by the behaviours e, by way of routing",
}
AXES = {"m": ("behaviour", "width"), "S": ("width", "width"), "e": ("behaviour", "width")}
DEFINITION = (
    "Write the loop out with a copy of m at each place where it is used. A row is the partial"
    " derivative of the loss by one copy; the gradient is the sum of the rows."
)


class Row(NamedTuple):
    """The part of the gradient that comes by one place of use."""

    name: str  # "z3" or "b3", as the place that reads m
    round: int  # whose capsules (z) or logits (b) it makes
    part: str  # "sums" or "agreement"
    title: str
    tensor: str  # its name in a trace with routing_gradient="all"
    kept_by_last: bool
    closed: Array  # (L, D), or the shape of S
    norm: float
    share: float  # norm over that of the whole
    cosine: float  # to the whole
    check: slopes.Check

    def to_json(self, axes: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return plain values, with the numbers themselves where axes are given."""
        same = ("name", "round", "part", "title", "tensor", "kept_by_last", "norm", "share")
        return {
            **{name: getattr(self, name) for name in same},
            "cosine": self.cosine,
            **checked(self.check),
            "data": plain.array(self.closed, axes) if axes else None,
        }


class Ledger(NamedTuple):
    """All rows, their sum, and what the library says of the same."""

    by: str
    rounds: int
    rows: tuple[Row, ...]  # in the order of backward: zR, bR, .. b2, z1
    whole: Array  # the gradient of the library with routing_gradient="all"
    check: slopes.Check  # of the whole against its own differences
    residual: float  # |sum of the rows - whole| / |whole|
    last: Array  # the gradient of the library with routing_gradient="last"
    last_residual: float  # |row zR - last| / |last|

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the numbers of the rows are there by m, where nothing else is."""
        axes = AXES[self.by]
        kept = next(row for row in self.rows if row.kept_by_last)
        return {
            "by": self.by,
            "rounds": self.rounds,
            "what": WHAT[self.by],
            "definition": DEFINITION,
            "axes": list(axes),
            "shape": list(self.whole.shape),
            "rows": [row.to_json(axes if self.by == "m" else ()) for row in self.rows],
            "sum": {
                "norm": float(np.linalg.norm(self.whole)),
                "residual": self.residual,
                **checked(self.check),
            },
            "last": {
                "keeps": [kept.name],
                "norm": float(np.linalg.norm(self.last)),
                "share": kept.share,
                "cosine": kept.cosine,
                "residual": self.last_residual,
            },
        }


class Paths:
    """A recorder that keeps what each place of use sends to the mapped behaviours."""

    def __init__(self) -> None:
        self.listening = False
        self.parts: dict[str, Array] = {}  # in the order of backward
        self.whole: dict[str, Array] = {}  # of the library, by m, S and e

    def __call__(self, event: str, turn: int = 0, /, **arrays: Any) -> None:
        """Keep the parts of d_m, and what the library makes of them."""
        if not self.listening:
            return
        if event == "d_sums":
            self.parts[f"z{turn}"] = arrays["votes"][0].copy()
        elif event == "d_update":
            self.parts[f"b{turn + 1}"] = arrays["votes"][0].copy()
        elif event == "d_votes":
            m, e = (arrays[name][0].copy() for name in ("d_votes", "d_history"))
            self.whole = {"m": m, "e": e, "S": arrays["d_bilinear"].copy()}

    def part(self, name: str, turn: int = 0) -> Paths:
        """Return itself, listening to routing alone: parts follow one another."""
        self.listening = name == "routing"
        return self


def ledger_of(given: Given, by: str = "m") -> Ledger:
    """Return the ledger of one user's training pair, by "m", "S" or "e".

    Raises ConfigError for another `by`.
    """
    if by not in WHAT:
        raise ConfigError(say("ledger", " or ".join(WHAT), by))
    every = paths(given, "all")
    whole, last = every.whole[by], paths(given, "last").whole[by]
    rounds = len(every.parts) // 2 + 1
    turned = {name: chained(given, by, part) for name, part in every.parts.items()}
    rows = tuple(row(given, by, name, rounds, part, whole) for name, part in turned.items())
    check = slopes.check(given, by, "m", whole, whole)
    residual = relative(np.sum([*turned.values()], axis=0) - whole, whole)
    last_residual = relative(turned[f"z{rounds}"] - last, last)
    return Ledger(by, rounds, rows, whole, check, residual, last, last_residual)


def paths(given: Given, gradient: str) -> Paths:
    """Return what the library's backward pass adds up, by place of use, and what it returns."""
    config = dataclasses.replace(given.config, routing_gradient=gradient)
    _, saved = mind.loss(given.params, given.batch, given.catalogue, config)
    record = Paths()
    mind.backward(saved, record=record)
    return record


def checked(check: slopes.Check) -> dict[str, Any]:
    """Return what the finite differences say, under the names of the page."""
    worst = {"index": list(check.worst), "closed": check.closed, "difference": check.difference}
    return {
        "fd_error": check.error,
        "fd_checked": check.checked,
        "fd_norm": check.norm,
        "worst": worst,
    }


def row(given: Given, by: str, name: str, rounds: int, closed: Array, whole: Array) -> Row:
    """Return the row of one place of use."""
    sums, turn = name[0] == "z", int(name[1:])
    place = f"m@{name[0]}[{turn}]"
    tensor = f"from_sums[{turn}]" if sums else f"from_agreement[{turn - 1}]"
    return Row(
        name,
        turn,
        "sums" if sums else "agreement",
        title(sums, turn, rounds),
        tensor,
        sums and turn == rounds,
        closed,
        float(np.linalg.norm(closed)),
        relative(closed, whole),
        cosine(closed, whole),
        slopes.check(given, by, place, closed, whole),
    )


def title(sums: bool, turn: int, rounds: int) -> str:
    """Say what a place of use does."""
    if sums and turn == rounds:
        return f"the sums of round {turn}, the last: weights held fixed"
    if sums:
        return f"the sums of round {turn}, acting through later weights"
    return f"the agreement after round {turn - 1}, in the logits of round {turn}"


def chained(given: Given, by: str, d_m: Array) -> Array:
    """Return what a gradient by m is by S or by e, as m = S e."""
    if by == "m":
        return d_m
    e, _ = mind.behaviours(given.params, given.batch.histories, given.catalogue)
    return d_m.T @ e[0] if by == "S" else d_m @ given.params.bilinear


def relative(part: Array, whole: Array) -> float:
    """Return |part| / |whole|; zero where both are."""
    size = float(np.linalg.norm(whole))
    return float(np.linalg.norm(part)) / size if size else float(np.linalg.norm(part))


def cosine(one: Array, other: Array) -> float:
    """Return the cosine of two arrays; zero where one of them is zero."""
    sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.sum(one * other)) / sizes if sizes else 0.0
