"""Estimate of the largest memory of a training, from the counts of the log and the settings.

Spec: specs/scale.md, "Estimate of the memory of a training"; specs/faults.md, faults-R20.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.protocols import NO_SPLIT
from mindref.errors import ConfigError, say
from mindref.evaluation import LIST_LENGTHS
from mindref.models.family import family_of
from mindref.models.parameters import Sizes
from mindref.process.memory import PROGRAM_BYTES, usable_memory, warn_if_too_large
from mindref.run.training_data import PreparedLog
from mindref.run.validate import FREE, one_row_arrays

INTERACTION_BYTES = 40
ID_BYTES = 150
"""Bytes of an interaction, and of the id of a user or an item, that stay after the reading."""

STATE_COPIES = {"numba": 13.75}
OTHER_COPIES = 19.75
"""Copies of a parameter at the peak of a training: parameter, moments, best parameters, files."""

LIST_BYTES = 100
"""Bytes of a position in the lists of a case, of the model and the baselines, at the least."""

CASE_BYTES = 200
"""Bytes of a test case for each position of its list, for the model and the baselines."""

VALIDATION_BYTES = 50
"""Bytes of a validation case for each position of its list."""

BEHAVIOUR_BYTES = 60
"""Bytes of a behaviour in the history of a case."""

SAMPLED_BYTES = 40
SAMPLED = 1 << 22
"""Bytes of a draw of the bootstrap, and how many are in memory at once."""


class MemoryEstimate(NamedTuple):
    """Bytes of the parts of a training."""

    program: int
    log: int
    parameters: int
    evaluation: int

    @property
    def total(self) -> int:
        """The largest memory of the training."""
        return sum(self)


TODO = "lower --width, --batch or --test-users, or drop rare items"


def check_training_memory(prepared: PreparedLog, config: Config, backend: str) -> MemoryEstimate:
    """Return the estimate. Announces a warning if the training does not or may not fit."""
    estimate = estimate_memory(prepared, config, backend)
    warn_if_too_large("the training", estimate.total, TODO)  # faults-R20
    return estimate


def estimate_memory(prepared: PreparedLog, config: Config, backend: str) -> MemoryEstimate:
    """Return the estimate for a split log."""
    log = prepared.loaded.log
    ids = len(log.user_ids) + len(log.item_ids)
    log_bytes = INTERACTION_BYTES * len(log.interactions.values) + ID_BYTES * ids
    parameters = state_bytes(config, prepared.task.sizes, backend)
    evaluation = evaluation_bytes(prepared, config)
    return MemoryEstimate(PROGRAM_BYTES, log_bytes, parameters, evaluation)


def state_bytes(config: Config, sizes: Sizes, backend: str) -> int:
    """Return the bytes of the parameters of a training with all their copies.

    For a family that is fitted in one call: the bytes of its factors, or of its similar items.
    """
    family = family_of(config.model)
    if not family.by_steps:
        return 8 * int(family.memory(config, sizes))
    copies = STATE_COPIES.get(backend, OTHER_COPIES)
    return round(copies * np.dtype(config.dtype).itemsize * count_parameters(config, sizes))


def count_parameters(config: Config, sizes: Sizes) -> int:
    """Return the number of parameters of a family that is trained by steps."""
    rows = {name: getattr(sizes, field or "users") for name, field in FREE.items()}
    arrays = one_row_arrays(config, sizes)
    return sum(x.size * int(rows.get(name, 1)) for name, x in arrays.items())


def evaluation_bytes(prepared: PreparedLog, config: Config) -> int:
    """Return the bytes of the larger of validation and test."""
    if prepared.split.protocol == NO_SPLIT:
        return 0
    split, width = prepared.split, max(LIST_LENGTHS)
    validation = min(len(split.validation.users), config.validation_users)
    test = min(len(split.test.users), config.test_users or len(split.test.users))
    sampled = SAMPLED_BYTES * min(1000 * test, SAMPLED)
    behaviours = BEHAVIOUR_BYTES * len(prepared.loaded.log.interactions.values)
    share = test / max(len(split.test.users), 1)
    test_bytes = CASE_BYTES * width * test + sampled + round(share * behaviours)
    validation_bytes = VALIDATION_BYTES * width * validation + behaviours
    return max(test_bytes, validation_bytes)


def check_list_memory(cases: int, n: int) -> None:
    """Raise ConfigError if the lists of all cases, of the model and the baselines, do not fit."""
    if LIST_BYTES * cases * n > usable_memory():
        expected, todo = "lists that fit the memory", "request shorter lists, or fewer cases"
        raise ConfigError(say("evaluate", expected, f"{cases:,} lists of {n:,} items", todo))
