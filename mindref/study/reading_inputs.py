"""Inputs of a reading that no setting changes: another history, or another number of interests.

Spec: "Source and where we differ" of specs/model.md and specs/data.md. A row of ambiguities.toml
names an entry of HISTORIES as `history`, and an entry of COUNTS as `counted`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from mindref.ops import routing
from mindref.study.variants.setups import select_behaviours

if TYPE_CHECKING:
    from mindref.models.mind import Histories
    from mindref.study.tracing import TrainingPair


def without_one_behaviour(pair: TrainingPair) -> TrainingPair:
    """Return the pair without one random behaviour; a single behaviour stays."""
    behaviours = np.flatnonzero(pair.batch.histories.mask[0])
    if len(behaviours) < 2:
        return pair
    left_out = np.random.default_rng(0).integers(len(behaviours))
    return select_behaviours(pair, np.delete(behaviours, left_out))


def random_cut(pair: TrainingPair) -> TrainingPair:
    """Return the example of a random cut: its target is a behaviour, its history those before."""
    behaviours = np.flatnonzero(pair.batch.histories.mask[0])
    if len(behaviours) < 2:
        return pair
    cut = np.random.default_rng(0).integers(1, len(behaviours))
    target = pair.batch.histories.items[:, behaviours[cut]]
    pair = select_behaviours(pair, behaviours[:cut])
    return pair._replace(batch=pair.batch._replace(target=target))


def fix_interest_count(pair: TrainingPair, interactions: int) -> TrainingPair:
    """Return the pair with the number of interests that eq. 9 gives for these interactions."""
    lengths = np.array([interactions])
    count = int(routing.count_active_interests(lengths, pair.config.interests)[0])
    config = dataclasses.replace(pair.config, interests=count, interest_count="fixed")
    histories = pair.batch.histories
    histories = histories._replace(init_logits=histories.init_logits[:, :, :count])
    return pair._replace(config=config, batch=pair.batch._replace(histories=histories))


def count_all_behaviours(histories: Histories, unwindowed: Histories) -> int:
    """Return the number of behaviours before the window was applied."""
    return int(unwindowed.mask.sum())


def count_distinct_items(histories: Histories, unwindowed: Histories) -> int:
    """Return the number of distinct items that routing receives."""
    return len(np.unique(histories.items[histories.mask]))


HISTORIES = {"without one behaviour": without_one_behaviour, "random cut": random_cut}
COUNTS = {"all": count_all_behaviours, "distinct": count_distinct_items}
