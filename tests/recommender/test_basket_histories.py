"""Training by baskets: the history of an example ends before the basket of its target."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindref import MIND
from mindref.data.examples import TrainingExamples
from mindref.data.frames import from_arrays
from mindref.errors import DataError
from mindref.models.din_config import DinConfig
from mindref.recommender.training.plan import plan_fit
from mindref.run.source import LoadedLog
from mindref.run.training_data import prepare_training
from mindref.training.batch_loader import make_loader
from tests.data.logs import rows_of

LAYOUT = {"batch": 400, "window": 9}
BASKETS = [[3, 1, 4, 1, 2, 2], [2, 3, 1], [5], [1, 1]]
"""Sizes of the baskets of each user. Three users train on 4, 1, 1 and 2 baskets."""


def log_of(baskets):
    """Return a log in which every item occurs once, so that a history shows where it comes from."""
    users = np.repeat(range(len(baskets)), [sum(sizes) for sizes in baskets])
    times = np.concatenate([np.repeat(range(len(sizes)), sizes) for sizes in baskets])
    return from_arrays(users, range(len(users)), times)


def prepared(baskets=BASKETS):
    """Split the log."""
    config, protocol = plan_fit("mind", LAYOUT, "last_basket", None)
    log = log_of(baskets)
    return prepare_training(LoadedLog(log), protocol, config), config


def expected_examples():
    """Return history and target of each possible example: first item of the user, its baskets."""
    return {
        (tuple(range(first, first + sum(sizes[:k]))), first + sum(sizes[:k]) + i)
        for first, sizes in ((0, [3, 1, 4, 1]), (24, [1, 1]))
        for k in range(1, len(sizes))
        for i in range(sizes[k])
    }


@pytest.mark.rules("data-R98")
def test_the_setting_is_that_of_the_split_unless_it_is_given():
    config, _ = plan_fit("mind", {}, "leave_last_out", None)
    assert not config.basket_histories
    off = {"basket_histories": False}
    assert not plan_fit("mind", off, "last_basket", None)[0].basket_histories
    assert plan_fit("mind", {}, "last_basket", None)[0].basket_histories
    served = SimpleNamespace(facts={"protocol": "leave_last_out"})
    start = SimpleNamespace(config=config, served=served, check=lambda config: None)
    assert plan_fit(None, {}, "last_basket", start)[0].basket_histories


@pytest.mark.rules("data-R98")
@pytest.mark.parametrize("model", ["mind", "din"])
def test_no_history_has_an_item_of_the_basket_of_its_target(model):
    made, config = prepared()
    whole_histories = []

    def candidates(histories, profiles, n):
        whole_histories.extend(rows_of(histories))
        return np.tile(np.arange(n), (len(histories), 1))

    if model == "din":
        config = DinConfig.of({**LAYOUT, "candidates": 9, "recalled_negatives": 1})
    batch = make_loader(made.task._replace(candidates=candidates), config).batch(0)
    targets = batch.candidates[:, 0] if model == "din" else batch.target
    items, mask = batch.histories.items, batch.histories.mask
    drawn = [tuple(row[used].tolist()) for row, used in zip(items, mask, strict=True)]
    assert set(zip(drawn, targets.tolist(), strict=True)) == expected_examples()
    assert model == "mind" or [list(row) for row in drawn] == whole_histories


@pytest.mark.rules("data-R43", "data-R98")
@pytest.mark.parametrize("by", ["interaction", "user"])
def test_only_items_of_later_baskets_are_targets(by):
    made, _ = prepared()
    lengths = made.task.history_lengths
    examples = TrainingExamples(made.split.train, by=by, history_lengths=lengths)
    expected = np.zeros(made.task.sizes.items)
    targets = sorted(target for _, target in expected_examples())
    assert len(examples) == len(targets)
    share = {"interaction": [1 / 7] * 7, "user": [1 / 12] * 6 + [1 / 2]}[by]
    expected[targets] = share
    np.testing.assert_allclose(examples.target_probability(len(expected)), expected, rtol=1e-12)


@pytest.mark.rules("data-R98")
def test_a_log_without_a_second_training_basket_is_refused():
    with pytest.raises(DataError, match=r"a target with a history.* turn basket_histories off"):
        prepared([[2, 1, 1]])


@pytest.mark.rules("data-R98", "model-R41")
def test_items_of_users_with_one_training_basket_are_untrained():
    made = MIND(steps=1, batch=4, negatives=4, backend="numpy")
    report = made.fit(log_of(BASKETS), split="last_basket").report
    items = sum(map(sum, BASKETS))
    assert report["untrained"]["items"] == items - (3 + 1 + 4 + 1) - (1 + 1)
