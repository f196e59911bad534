"""The rank of the first hit of each test case of a run, kept beside its model.

Spec: specs/experiments.md, R1, R2 and R15. From the rank follows whether the case is hit at any N.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints
from mindref.errors import RunError
from mindref.evaluation import metrics
from mindref.recommender.judging import rank
from mindref.recommender.run import Trainer
from mindref.run import checkpoint
from mindref.run.files import MALFORMED

FILE = "hits.safetensors"
DEPTH = 100  # places of the lists that are looked at
FORMAT = 1


class Hits(NamedTuple):
    """What a run found of the test cases that have a target."""

    users: Ints  # (C,) dense ids, rising, each once
    first: Ints  # (C,) rank of the first hit from 1, 0 where none is among the first DEPTH


def found(trainer: Trainer) -> Hits:
    """Rank the whole catalogue for the test cases with the model of the best epoch."""
    cases = trainer.prepared.split.test
    ranked, _ = rank(trainer.model(), trainer.bench(cases), DEPTH, trainer.backend)
    judged = metrics.distinct(cases.targets) > 0
    hit = metrics.hits(ranked.items, cases.targets)[judged]
    first = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0)  # experiments-R2
    return Hits(cases.users[judged], first.astype(np.int64))


def save(run: Path, hits: Hits) -> None:
    """Write the hits of a run, with the digest of the model that made them."""
    words = {"format": checkpoint.FORMAT, "hits": FORMAT, "model": model_digest(run)}
    checkpoint.save_arrays(run / FILE, hits._asdict(), words)


def load(run: Path) -> Hits | None:
    """Return the kept hits; None where they are absent, damaged, or of another model."""
    try:
        arrays, words = checkpoint.load_arrays(run / FILE)
        if words["hits"] != FORMAT or words["model"] != model_digest(run):  # experiments-R15
            return None
        hits = Hits(arrays["users"], arrays["first"])
        return hits if are_hits(hits) else None
    except (RunError, OSError, *MALFORMED):
        return None  # they are made again from the model


def are_hits(hits: Hits) -> bool:
    """Return whether arrays of a file are those of cases and ranks."""
    users, first = hits
    alike = users.ndim == 1 and users.shape == first.shape
    if not alike or users.dtype != np.int64 or first.dtype != np.int64:
        return False
    return bool((users[1:] > users[:-1]).all() and ((first >= 0) & (first <= DEPTH)).all())


def model_digest(run: Path) -> str:
    """Return the sha256 of the file of the model."""
    return hashlib.sha256((run / checkpoint.MODEL).read_bytes()).hexdigest()
