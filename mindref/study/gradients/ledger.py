"""The gradient ledger: the gradient through routing as a sum over the uses of the votes.

Spec: specs/routing.md (backward). In r iterations the votes S e have 2r - 1 uses. Every iteration
sums the votes to its capsules (rows z1 .. zr). Every iteration except the last uses the votes for
the agreement, which updates the logits (rows b2 .. br). Unroll the loop with one copy of the votes
for each use: a row is the partial derivative with respect to one copy, and the gradient is the sum
of the rows. The rows are recorded in the backward pass of the reference. Each row is compared with
finite differences that change only its copy. With routing_gradient="last" the gradient is row zr.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.errors import ConfigError, say
from mindref.models import mind
from mindref.shapes import Array
from mindref.study import json_arrays
from mindref.study.gradients import batched_differences
from mindref.study.record import instrument_reference

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair

TITLES = {
    "Se": "gradient of the loss with respect to the votes S e",
    "S": "gradient of the loss with respect to the matrix S",
    "e": "gradient of the loss with respect to the item vectors e of the history, through routing",
}
AXES = {"Se": ("behaviour", "width"), "S": ("width", "width"), "e": ("behaviour", "width")}
DEFINITION = (
    "Unroll the loop with one copy of the votes for each use. A row is the partial derivative of"
    " the loss with respect to one copy. The gradient is the sum of the rows."
)


class LedgerRow(NamedTuple):
    """The term of the gradient for one use of the votes."""

    name: str  # "z3" or "b3": the tensor that reads the votes
    iteration: int  # of the sum z or the logits b
    part: str  # "sum" or "agreement"
    title: str
    tensor: str  # its name in a trace with routing_gradient="all"
    kept_by_last: bool
    closed: Array  # (L, D), or the shape of S
    norm: float
    share: float  # norm over the norm of the total
    cosine: float  # with the total
    check: batched_differences.DifferenceCheck

    def to_json(self, axes: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return JSON values; the array is included if axes are passed."""
        fields = ("name", "iteration", "part", "title", "tensor", "kept_by_last", "norm", "share")
        return {
            **{name: getattr(self, name) for name in fields},
            "cosine": self.cosine,
            **check_to_json(self.check),
            "data": json_arrays.array_to_json(self.closed, axes) if axes else None,
        }


class Ledger(NamedTuple):
    """All rows, their sum, and the gradients of the reference."""

    variable: str
    iterations: int
    rows: tuple[LedgerRow, ...]  # in backward order: zr, br, .. b2, z1
    total: Array  # the gradient of the reference with routing_gradient="all"
    check: batched_differences.DifferenceCheck  # of the total against its finite differences
    residual: float  # |sum of the rows - total| / |total|
    last: Array  # the gradient of the reference with routing_gradient="last"
    last_residual: float  # |row zr - last| / |last|

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; only the ledger of the votes includes the arrays of the rows."""
        axes = AXES[self.variable]
        kept_row = next(row for row in self.rows if row.kept_by_last)
        return {
            "variable": self.variable,
            "iterations": self.iterations,
            "title": TITLES[self.variable],
            "definition": DEFINITION,
            "axes": list(axes),
            "shape": list(self.total.shape),
            "rows": [row.to_json(axes if self.variable == "Se" else ()) for row in self.rows],
            "sum": {
                "norm": float(np.linalg.norm(self.total)),
                "residual": self.residual,
                **check_to_json(self.check),
            },
            "last": {
                "keeps": [kept_row.name],
                "norm": float(np.linalg.norm(self.last)),
                "share": kept_row.share,
                "cosine": kept_row.cosine,
                "residual": self.last_residual,
            },
        }


class RecordedTerms(NamedTuple):
    """The terms of the gradient with respect to the votes, one for each use of the votes."""

    terms: dict[str, Array]  # in backward order
    totals: dict[str, Array]  # gradients of the reference with respect to Se, S and e


def make_ledger(pair: TrainingPair, variable: str = "Se") -> Ledger:
    """Return the ledger of one training pair with respect to "Se", "S" or "e".

    Raises ConfigError for another name.
    """
    if variable not in TITLES:
        raise ConfigError(say("ledger", " or ".join(TITLES), variable))
    recorded = record_terms(pair, "all")
    total, last = recorded.totals[variable], record_terms(pair, "last").totals[variable]
    iterations = len(recorded.terms) // 2 + 1
    terms = {name: chain_from_votes(pair, variable, part) for name, part in recorded.terms.items()}
    rows = tuple(
        make_row(pair, variable, name, iterations, part, total) for name, part in terms.items()
    )
    check = batched_differences.compare_with_differences(pair, variable, "Se", total, total)
    residual = norm_ratio(np.sum([*terms.values()], axis=0) - total, total)
    last_residual = norm_ratio(terms[f"z{iterations}"] - last, last)
    return Ledger(variable, iterations, rows, total, check, residual, last, last_residual)


def record_terms(pair: TrainingPair, gradient: str) -> RecordedTerms:
    """Return the terms that the backward pass of the reference sums, and its gradients."""
    config = dataclasses.replace(pair.config, routing_gradient=gradient)
    modules, record = instrument_reference()
    _, saved = modules.mind.loss(pair.params, pair.batch, pair.catalogue, config, modules.ops)
    modules.mind.backward(saved, ops=modules.ops)
    terms, total = {}, {}
    for name, iteration, arrays in record.events:
        if name == "routing.d_sums":
            terms[f"z{iteration}"] = arrays["votes"][0]
        elif name == "routing.d_update":
            terms[f"b{iteration + 1}"] = arrays["votes"][0]
        elif name == "routing.d_votes":
            d_votes, d_items = (arrays[array][0] for array in ("d_votes", "d_history"))
            total = {"Se": d_votes, "e": d_items, "S": arrays["d_bilinear"]}
    return RecordedTerms(terms, total)


def check_to_json(check: batched_differences.DifferenceCheck) -> dict[str, Any]:
    """Return the comparison with finite differences as JSON values."""
    worst = {"index": list(check.worst), "closed": check.closed, "difference": check.difference}
    return {
        "fd_error": check.error,
        "fd_checked": check.checked,
        "fd_norm": check.norm,
        "worst": worst,
    }


def make_row(
    pair: TrainingPair, variable: str, name: str, iterations: int, closed: Array, total: Array
) -> LedgerRow:
    """Return the row of one use of the votes."""
    in_sum, iteration = name[0] == "z", int(name[1:])
    use = f"Se@{name[0]}[{iteration}]"
    tensor = f"from_z[{iteration}]" if in_sum else f"from_a[{iteration - 1}]"
    return LedgerRow(
        name,
        iteration,
        "sum" if in_sum else "agreement",
        row_title(in_sum, iteration, iterations),
        tensor,
        in_sum and iteration == iterations,
        closed,
        float(np.linalg.norm(closed)),
        norm_ratio(closed, total),
        cosine_between(closed, total),
        batched_differences.compare_with_differences(pair, variable, use, closed, total),
    )


def row_title(in_sum: bool, iteration: int, iterations: int) -> str:
    """Return the description of one use of the votes."""
    if in_sum and iteration == iterations:
        return f"sum z of iteration {iteration}, the last: coupling weights constant"
    if in_sum:
        return f"sum z of iteration {iteration}, through later coupling weights"
    return f"agreement of iteration {iteration - 1}, in the logits of iteration {iteration}"


def chain_from_votes(pair: TrainingPair, variable: str, d_m: Array) -> Array:
    """Return a gradient with respect to the votes as a gradient with respect to S or e."""
    if variable == "Se":
        return d_m
    e, _ = mind.behaviour_vectors(pair.params, pair.batch.histories, pair.catalogue)
    return d_m.T @ e[0] if variable == "S" else d_m @ pair.params.bilinear


def norm_ratio(part: Array, total: Array) -> float:
    """Return |part| / |total|; zero if both are zero."""
    size = float(np.linalg.norm(total))
    return float(np.linalg.norm(part)) / size if size else float(np.linalg.norm(part))


def cosine_between(one: Array, other: Array) -> float:
    """Return the cosine of two arrays; zero if an array is zero."""
    sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.sum(one * other)) / sizes if sizes else 0.0
