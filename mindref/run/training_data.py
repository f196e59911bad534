"""The log of a run, split and laid out for training and evaluation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.examples import TrainingExamples, count_items
from mindref.data.log import Ints
from mindref.data.rng import make_rng
from mindref.data.splits import EvaluationCases, Split, count_before_baskets, make_split
from mindref.models import features
from mindref.models.family import family_of
from mindref.models.features import Vocabulary
from mindref.models.parameters import Sizes
from mindref.run.source import LoadedLog
from mindref.training.batch_loader import Task


class PreparedLog(NamedTuple):
    """A split log with features as table rows."""

    loaded: LoadedLog
    split: Split
    task: Task
    vocabulary: Vocabulary
    counts: Ints  # (N,) training interactions of each item


def prepare_training(loaded: LoadedLog, protocol: str, config: Config) -> PreparedLog:
    """Return the split log with its features as table rows. Raises DataError or ConfigError."""
    log = loaded.log
    split = make_split(protocol, log, make_rng(config.seed, "split"))
    vocabulary = features.user_vocabulary(log, config)
    catalogue, item_rows = features.item_catalogue(log, config)
    history_lengths = None
    if config.basket_histories:  # data-R98; a training sequence is the start of a row of the log
        counts = count_before_baskets(log)
        starts = np.zeros_like(split.train_users)
        history_lengths = counts.slice(split.train_users, starts, split.train.lengths).values
    if family_of(config.model).by_steps:
        # raises DataError for a log without examples, before a run is made: faults-R21
        TrainingExamples(split.train, history_lengths=history_lengths)
    task = Task(
        split.train,
        features.user_profiles(log, vocabulary, split.train_users),  # model-R30
        catalogue,
        Sizes(
            items=len(log.item_ids),
            item_rows=item_rows,
            profile_rows=vocabulary.rows,
            profile_features=len(vocabulary.values),
            users=len(split.train),
        ),
        history_lengths=history_lengths,
    )
    return PreparedLog(loaded, split, task, vocabulary, count_items(split.train, len(log.item_ids)))


def sample_cases(cases: EvaluationCases, most: int, seed: int) -> EvaluationCases:
    """Return at most `most` cases, drawn with the seed, in the original order; 0: all cases."""
    if not most or len(cases.users) <= most:
        return cases
    drawn = make_rng(seed, "validation").permutation(len(cases.users))
    chosen = np.sort(drawn[:most])  # model-R31
    histories, targets = cases.histories.take(chosen), cases.targets.take(chosen)
    return EvaluationCases(cases.users[chosen], histories, targets)
