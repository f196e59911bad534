"""Divergence: origin of the first non-finite number (operator, users, items, table rows).

Spec: specs/optimiser.md, R14 to R16. The diagnosis runs after a step has failed: it computes the
batch again with the reference operators, from the parameters before the step.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as reference
from mindref.data.log import InteractionLog
from mindref.errors import MindrefError, say
from mindref.models import mind
from mindref.models.parameters import Catalogue, flatten_gradients
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from mindref.training import optimiser

SHARED = ("negatives", "negative_log_expected")  # fields that all users of a batch share
NAMED = 5  # users, items or rows in a message
TODO = "train anew with a lower --learning-rate"


class Diagnosis(NamedTuple):
    """Origin of a number that is not finite."""

    operator: str = ""  # such as "routing (forward)"; "" if unknown
    users: tuple[int, ...] = ()  # positions in the batch
    items: tuple[int, ...] = ()  # dense ids
    rows: Mapping[str, tuple[int, ...]] = {}  # of parameters and moments


class Diverged(MindrefError):
    """A loss or a gradient is not finite. The last checkpoint on disk is intact."""

    def __init__(
        self,
        step: int,
        got: str,
        diagnosis: Diagnosis,
        todo: str = f"{TODO}; the run keeps its best model",
        *,
        user: Callable[[int], Any] = "row {} of the batch".format,
        item: Callable[[int], Any] = str,
        words: tuple[str, str] = ("step {}", "a finite loss"),
    ) -> None:
        """Format the message; user, item: functions from batch position or dense id to name."""
        self.step, self.got, self.diagnosis, self.words = step, got, diagnosis, words
        origin = describe_diagnosis(diagnosis, user, item)
        super().__init__(say(words[0].format(step), words[1], got + origin, todo))


def describe_diagnosis(
    diagnosis: Diagnosis, user: Callable[[int], Any], item: Callable[[int], Any]
) -> str:
    """Return the diagnosis in parentheses; "" if it is empty."""
    parts = [f"first in {diagnosis.operator}"] if diagnosis.operator else []
    parts += list_names("users", diagnosis.users, user) + list_names("items", diagnosis.items, item)
    for name, rows in diagnosis.rows.items():
        parts += list_names(f"rows of {name}", rows, str)
    return f" ({'; '.join(parts)})" if parts else ""


def list_names(label: str, which: tuple[int, ...], name: Callable[[int], Any]) -> list[str]:
    """Return a text with the first names and the number of further names; [] without names."""
    if not which:
        return []
    remainder = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
    return [f"{label} {', '.join(str(name(x)) for x in which[:NAMED])}{remainder}"]


def all_finite(x: Any) -> bool:
    """Return whether all numbers of an array, of a gradient or of a tuple of them are finite."""
    if isinstance(x, tuple):
        return all(all_finite(part) for part in x)
    if x is None or getattr(x, "dtype", np.dtype(float)).kind != "f":
        return True
    return bool(np.isfinite(x).all())


def has_finite_squares(gradient: Array | RowGradient) -> bool:
    """Return whether a gradient and its square are finite, in the type of the gradient."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    if not x.size:
        return True
    largest = max(x.max(), -x.min(), key=lambda n: (n != n, n))  # NaN before all
    return bool(np.isfinite(largest * largest))  # optimiser-R14


def tables_by_name(params: Mapping[str, Array], moments: optimiser.State) -> dict[str, Array]:
    """Return parameters and moments by name, such as items, first.items and second.items."""
    first = {f"first.{name}": x for name, x in moments.first.items()}
    return {**params, **first, **{f"second.{name}": x for name, x in moments.second.items()}}


def check_finite_state(params: Mapping[str, Array], moments: optimiser.State) -> None:
    """Raise Diverged if a parameter or a moment is not finite; such a state must not be saved."""
    rows = nonfinite_rows(tables_by_name(params, moments))
    if rows:  # optimiser-R16
        got = "parameters or moments that are not finite"
        raise Diverged(moments.step, got, Diagnosis("the parameters", rows=rows))


def nonfinite_rows(tables: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """Return table -> rows with a non-finite number, for the tables that have such rows."""
    rows_by_table = {}
    for name, x in tables.items():
        if not all_finite(x):
            rows = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
            rows_by_table[name] = tuple(np.flatnonzero(rows).tolist())
    return rows_by_table


class OperatorMonitor:
    """Operators, with a record of the first that returns a non-finite number for finite inputs."""

    def __init__(self, ops: Any) -> None:
        self.ops, self.first, self.last = ops, "", "the parameters"

    def __getattr__(self, stem: str) -> Any:
        return MonitoredOperator(
            self, stem, getattr(self.ops, stem, None) or getattr(reference, stem)
        )

    def observe(self, name: str, inputs: Any, out: Any) -> None:
        """Record a call and the first non-finite output."""
        if not self.first and not all_finite(out):
            self.first = name if all_finite(inputs) else f"the computation after {self.last}"
        self.last = name


class MonitoredOperator(NamedTuple):
    """An operator whose calls the monitor observes."""

    watch: OperatorMonitor
    stem: str
    module: Any

    def forward(self, *arrays: Any, **numbers: Any) -> Any:
        """Call the operator and report the result."""
        out, saved = self.module.forward(*arrays, **numbers)
        self.watch.observe(f"{self.stem} (forward)", arrays, out)
        return out, saved

    def backward(self, d_out: Any, saved: Any, **options: Any) -> Any:
        """Call the operator and report the result."""
        out = self.module.backward(d_out, saved, **options)
        self.watch.observe(f"{self.stem} (backward)", np.asarray(d_out), out)
        return out


def diagnose_batch(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any, tables: Any
) -> Diagnosis:
    """Return the origin of the divergence of a batch; family: the family object.

    tables: parameters and moments by name. If rows are not finite, the diagnosis names the rows and
    their items, and the batch is not computed. Never raises.
    """
    rows = nonfinite_rows(tables)
    with np.errstate(all="ignore"):
        if rows:  # optimiser-R15
            lost = np.union1d(rows.get("items", ()), rows.get("first.items", ())).astype(int)
            lost = np.union1d(lost, np.array(rows.get("second.items", ()), int))
            return Diagnosis(
                "the parameters", (), tuple(items_with_rows(batch, catalogue, lost)), rows
            )
        first, _, gradients = replay_batch(family, params, batch, catalogue, config)
        users = tuple(diverging_users(family, params, batch, catalogue, config))
        items: tuple[int, ...] = ()
        if gradients is not None and not users and not all_finite(gradients["items"]):
            of = gradients["items"]
            bad = of.rows[~np.isfinite(of.values).all(axis=1)]
            items = tuple(bad[bad < len(catalogue.rows)].tolist())
        return Diagnosis(first, users, items)


def replay_batch(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any, d_out: float = 1.0
) -> tuple[str, bool, dict[str, Any] | None]:
    """Return the operator that diverges, whether all numbers are finite, and the gradients."""
    watch = OperatorMonitor(reference)
    loss, saved = family.loss(params, batch, catalogue, config, watch)
    if not np.isfinite(loss):
        return watch.first or f"the computation after {watch.last}", False, None
    gradients = flatten_gradients(family.backward(saved, d_out, ops=watch))
    well = all(has_finite_squares(x) for x in gradients.values())
    if well:
        return "", True, gradients
    if all(all_finite(x) for x in gradients.values()):
        return "the square of a gradient", False, gradients
    return watch.first or f"the computation after {watch.last}", False, gradients


def diverging_users(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any
) -> Iterator[int]:
    """Yield the positions of users whose example diverges as a batch of one, at its weight."""
    size = len(histories_of(batch).mask)
    for position in range(size):
        single = user_batch(batch, position)
        if not replay_batch(family, params, single, catalogue, config, 1 / size)[1]:
            yield position


def user_batch(batch: Any, position: int) -> Any:
    """Return the batch of one user, with the fields that all users share."""
    row = slice(position, position + 1)
    parts: dict[str, Any] = {}
    for name, x in batch._asdict().items():
        if isinstance(batch, mind.Batch) and name in SHARED:
            parts[name] = x
        elif isinstance(x, tuple):
            parts[name] = user_batch(x, position)
        else:
            parts[name] = x if x is None else x[row]
    return batch._replace(**parts)


def histories_of(batch: Any) -> mind.Histories:
    """Return the histories of the batch of any family."""
    histories: mind.Histories = getattr(batch, "shared", batch).histories
    return histories


def items_with_rows(batch: Any, catalogue: Catalogue, rows: Ints) -> Iterator[int]:
    """Yield the items of a batch, ascending, that use one of these rows."""
    shared = getattr(batch, "shared", batch)
    id_arrays = [shared.histories.items[shared.histories.mask]]
    id_arrays += [getattr(shared, n).ravel() for n in ("target", "negatives", "candidates")
              if hasattr(shared, n)]  # fmt: skip
    ids = np.unique(np.concatenate(id_arrays))
    parts = np.isin(catalogue.rows[ids], rows) & (catalogue.weights[ids] != 0)
    yield from ids[parts.any(axis=1)].tolist()


def name_ids(
    error: Diverged, log: InteractionLog, users: Ints, run: Path | None, saved_step: int
) -> Diverged:
    """Return the error with user and item ids of the log in the message.

    users (B,): dense id of the user of each example in the batch; saved_step: the step of the last
    state in the run directory.
    """
    return Diverged(
        error.step,
        error.got,
        error.diagnosis,
        recovery_hint(run, saved_step),
        user=lambda position: log.user_ids[users[position]],  # optimiser-R15
        item=lambda item: log.item_ids[item],
        words=error.words,
    )


def recovery_hint(run: Path | None, saved_step: int) -> str:
    """Return the advice. Resuming diverges again, because each step has the same batch."""
    if run is None:
        return TODO
    again = f"mindref train --resume {shlex.quote(str(run))}"
    if not saved_step:
        return f"{TODO}; nothing was saved yet, and {again} diverges again"
    return f"{TODO}; the run is as it was after step {saved_step}, and {again} diverges again"
