"""Divergence: the users, or the table rows and items, with a number that is not finite.

Spec: specs/optimiser.md, R14 to R16. The diagnosis runs after a step has failed: it computes each
example of the batch alone with the reference operators, from the parameters before the step.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import InteractionLog
from mindref.errors import MindrefError, say
from mindref.models import mind
from mindref.models.family import FamilyConfig, SteppedFamily
from mindref.models.parameters import Catalogue, flatten, flatten_gradients
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from mindref.training import optimiser

SHARED = ("negatives", "negative_log_expected")  # fields that all users of a batch share
NAMED = 5  # users, items or rows in a message
TODO = "train anew with a lower --learning-rate"


class Diagnosis(NamedTuple):
    """Origin of a number that is not finite; empty if it is unknown."""

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
        user: Callable[[int], object] = "row {} of the batch".format,
        item: Callable[[int], object] = str,
    ) -> None:
        """Format the message; user, item: functions from batch position or dense id to name."""
        self.step, self.got, self.diagnosis = step, got, diagnosis
        origins = {"users": list(map(user, diagnosis.users))}
        origins["items"] = list(map(item, diagnosis.items))
        origins |= {f"rows of {name}": list(rows) for name, rows in diagnosis.rows.items()}
        texts = []
        for label, names in origins.items():
            remainder = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            if names:
                texts.append(f"{label} {', '.join(map(str, names[:NAMED]))}{remainder}")
        origin = f" ({'; '.join(texts)})" if texts else ""
        super().__init__(say(f"step {step}", "a finite loss", got + origin, todo))


def has_finite_squares(gradient: Array | RowGradient) -> bool:
    """Return whether a gradient and its square are finite, in the type of the gradient."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    if not x.size:
        return True
    extremes = np.array([x.min(), x.max()])  # NaN if an entry is NaN
    return bool(np.isfinite(extremes * extremes).all())  # optimiser-R14


def check_finite_state(params: Mapping[str, Array], moments: optimiser.State) -> None:
    """Raise Diverged if a parameter or a moment is not finite; such a state must not be saved."""
    rows = nonfinite_rows(params, moments)
    if rows:  # optimiser-R16
        got = "parameters or moments that are not finite"
        raise Diverged(moments.step, got, Diagnosis(rows=rows))


def nonfinite_rows(
    params: Mapping[str, Array], moments: optimiser.State
) -> dict[str, tuple[int, ...]]:
    """Return table -> rows with a non-finite number, for the tables that have such rows.

    The tables of the moments are named first.items, second.items and so on.
    """
    first = {f"first.{name}": x for name, x in moments.first.items()}
    second = {f"second.{name}": x for name, x in moments.second.items()}
    rows_by_table = {}
    for name, x in {**params, **first, **second}.items():
        if not np.isfinite(x).all():
            is_lost = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
            rows_by_table[name] = tuple(np.flatnonzero(is_lost).tolist())
    return rows_by_table


def diagnose_batch(
    params: Any,
    moments: optimiser.State,
    batch: Any,
    catalogue: Catalogue,
    *,
    family: SteppedFamily,
    config: FamilyConfig,
) -> Diagnosis:
    """Return the origin of the divergence of a batch.

    If parameters or moments are not finite, the diagnosis names the rows and their items, and the
    batch is not computed.
    """
    rows = nonfinite_rows(flatten(params), moments)
    if rows:  # optimiser-R15
        tables = ("items", "first.items", "second.items")
        lost = [row for name in tables for row in rows.get(name, ())]
        return Diagnosis(items=items_with_rows(batch, catalogue, lost), rows=rows)
    shared = getattr(batch, "shared", batch)  # some families add arrays to the batch of MIND
    size = len(shared.histories.mask)
    share = 1 / size  # of a user in the gradient of the mean loss
    users = []
    with np.errstate(all="ignore"):
        for position in range(size):
            single = user_batch(batch, position)
            loss, saved = family.loss(params, single, catalogue, config)
            is_finite = np.isfinite(loss) and all(
                has_finite_squares(x)
                for x in flatten_gradients(family.backward(saved, share)).values()
            )
            if not is_finite:
                users.append(position)
    return Diagnosis(users=tuple(users))


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


def items_with_rows(batch: Any, catalogue: Catalogue, rows: Sequence[int]) -> tuple[int, ...]:
    """Return the items of a batch, ascending, that use one of these rows."""
    shared = getattr(batch, "shared", batch)
    id_arrays = [shared.histories.items[shared.histories.mask]]
    for name in ("target", "negatives", "candidates"):
        if hasattr(shared, name):
            id_arrays.append(getattr(shared, name).ravel())
    ids = np.unique(np.concatenate(id_arrays))
    uses_row = np.isin(catalogue.rows[ids], rows) & (catalogue.weights[ids] != 0)  # (M, F)
    return tuple(ids[uses_row.any(axis=1)].tolist())


def name_ids(
    error: Diverged, log: InteractionLog, users: Ints, run: Path | None, saved_step: int
) -> Diverged:
    """Return the error with user and item ids of the log in the message, and advice.

    users (B,): dense id of the user of each example in the batch; saved_step: the step of the last
    state in the run directory.
    """
    todo = TODO
    if run is not None:  # resuming diverges again, because each step has the same batch
        again = f"mindref train --resume {shlex.quote(str(run))} diverges again"
        saved = "nothing was saved yet"
        if saved_step:
            saved = f"the run is as it was after step {saved_step}"
        todo = f"{TODO}; {saved}, and {again}"
    return Diverged(
        error.step,
        error.got,
        error.diagnosis,
        todo,
        user=lambda position: log.user_ids[users[position]],  # optimiser-R15
        item=lambda item: log.item_ids[item],
    )
