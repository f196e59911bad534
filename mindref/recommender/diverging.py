"""A training that diverged, told with the ids of the log, and with what resuming would do."""

from __future__ import annotations

import shlex
from pathlib import Path

from mindref.recommender.prepared import Prepared
from mindref.shapes import Ints
from mindref.training.divergence import TODO, Diverged


def named(error: Diverged, prepared: Prepared, rows: Ints, run: Path | None, kept: int) -> Diverged:
    """Return the error for a batch of training rows (B,), of a run whose last state is `kept`."""
    log, users = prepared.loaded.log, prepared.split.train_users[rows]
    return Diverged(
        error.step,
        error.got,
        error.found,
        what_then(run, kept),
        user=lambda place: log.user_ids[users[place]],  # optimiser-R15
        item=lambda item: log.item_ids[item],
        words=error.words,
    )


def what_then(run: Path | None, kept: int) -> str:
    """Return what to do: the batch of a step is always the same, so resuming meets it again."""
    if run is None:
        return TODO
    again = f"mindref train --resume {shlex.quote(str(run))}"
    if not kept:
        return f"{TODO}; nothing was saved yet, and {again} comes to the same"
    return f"{TODO}; the run is as it was after step {kept}, and {again} comes to the same"
