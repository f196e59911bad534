"""The rank of the first hit of each test case of a run, stored in the run directory.

Spec: specs/experiments.md, R1, R2 and R15. A case is a hit at N if this rank is at most N.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints
from mindref.errors import RunError
from mindref.evaluation import metrics
from mindref.recommender.evaluate_run import recommend_cases
from mindref.recommender.training.trainer import Trainer
from mindref.run import array_files
from mindref.run.files import MALFORMED, file_digest

FILE = "hits.safetensors"
DEPTH = 100  # length of the top-n lists
FORMAT = 1


class FirstHits(NamedTuple):
    """Test cases with a target, and their first hits."""

    users: Ints  # (C,) dense ids, strictly increasing
    first: Ints  # (C,) rank of the first hit from 1, 0 if none is among the first DEPTH


def find_first_hits(trainer: Trainer) -> FirstHits:
    """Return the first hits of the test cases for the best checkpoint, over the whole catalogue."""
    cases = trainer.prepared.split.test
    evaluation_set = trainer.evaluation_set(cases)
    ranked, _ = recommend_cases(trainer.model(), evaluation_set, DEPTH, trainer.backend)
    has_target = metrics.count_distinct(cases.targets) > 0
    hit = metrics.hit_mask(ranked.items, cases.targets)[has_target]
    first = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0)  # experiments-R2
    return FirstHits(cases.users[has_target], first.astype(np.int64))


def save_hits(run: Path, hits: FirstHits) -> None:
    """Write the hits of a run and the digest of its model."""
    model = file_digest(run / array_files.MODEL)
    metadata = {"format": array_files.FORMAT, "hits": FORMAT, "model": model}
    array_files.save_arrays(run / FILE, hits._asdict(), metadata)


def load_hits(run: Path) -> FirstHits | None:
    """Return the stored hits; None if they are missing, damaged, or of another model."""
    try:
        arrays, metadata = array_files.load_arrays(run / FILE)
        stored = metadata["hits"], metadata["model"]
        if stored != (FORMAT, file_digest(run / array_files.MODEL)):  # experiments-R15
            return None
        users, first = arrays["users"], arrays["first"]
    except (RunError, OSError, *MALFORMED):
        return None  # computed again from the model
    same_shape = users.ndim == 1 and users.shape == first.shape
    if not same_shape or users.dtype != np.int64 or first.dtype != np.int64:
        return None
    is_valid = (users[1:] > users[:-1]).all() and ((first >= 0) & (first <= DEPTH)).all()
    return FirstHits(users, first) if is_valid else None
