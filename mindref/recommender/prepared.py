"""A log made ready for training: split, with its features as rows of tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.log import Ints, Ragged
from mindref.data.samples import item_counts
from mindref.data.splits import Cases, Split, make_split
from mindref.data.streams import stream
from mindref.recommender import features
from mindref.recommender.features import Vocabulary
from mindref.run.source import Loaded
from mindref.training.batch_loader import Task


class Prepared(NamedTuple):
    """All that training and evaluation need of a log."""

    loaded: Loaded
    split: Split
    task: Task
    vocabulary: Vocabulary
    counts: Ints  # (N,) of each item in the training sequences


def prepare(loaded: Loaded, protocol: str, config: Config) -> Prepared:
    """Split a log and lay its features out. Raises DataError or ConfigError before any training."""
    log = loaded.log
    split = make_split(protocol, log, stream(config.seed, "split"))
    vocabulary = features.vocabulary(log, config)
    catalogue, item_rows = features.catalogue(log, config)
    task = Task(
        split.train,
        features.profiles(log, vocabulary, split.train_users),  # model-R30
        catalogue,
        features.sizes(log, item_rows, vocabulary)._replace(users=len(split.train)),
    )
    return Prepared(loaded, split, task, vocabulary, item_counts(split.train, len(log.item_ids)))


def some_cases(cases: Cases, most: int, seed: int) -> Cases:
    """Return at most `most` cases, chosen by the seed alone, in their order."""
    if len(cases.users) <= most:
        return cases
    drawn = stream(seed, "validation").permutation(len(cases.users))
    chosen = np.sort(drawn[:most])  # model-R31
    return choose(cases, chosen)


def choose(cases: Cases, chosen: Ints) -> Cases:
    """Return the cases of these numbers."""

    def rows(of: Ragged) -> Ragged:
        return Ragged.of([of.row(int(c)) for c in chosen])

    return Cases(cases.users[chosen], rows(cases.histories), rows(cases.targets))
