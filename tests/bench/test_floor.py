"""The bound of a step: its formulas against sizes and products counted one by one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from mindref.bench import floor
from mindref.bench.floor import Counts
from mindref.bench.world import World
from mindref.models.mind import Batch, Histories
from tests.bench.small import SMALL

EXAMPLE = Counts(
    users=2,
    behaviours=5,
    pairs=7,
    rows=3,
    voting=4,
    touched=6,
    negatives=3,
    width=2,
    widths=(2, 5, 2),
    interests=4,
    rounds=3,
    one_winner=False,
    itemsize=4,
)


def product(m: float, k: float, n: float) -> float:
    """Operations of a product of (m, k) and (k, n)."""
    return 2 * m * k * n


def test_the_sizes_of_a_batch_are_counted_without_padding_and_repeats() -> None:
    world = World(dataclasses.replace(SMALL, interests=2))
    items = np.array([[3, 3, 9, 9], [3, 8, 0, 0]])
    mask = np.array([[True, True, True, True], [True, False, False, False]])
    histories = Histories(items, mask, np.zeros((2, 4, 2)), np.zeros((2, 0), np.int64))
    batch = Batch(histories, np.array([9, 1]), np.array([3, 5, 5]), np.zeros(2), np.zeros(3))
    # behaviours 4 + 1; interests 2 and 1; voting {3, 9}; touched {1, 3, 5, 9}
    assert floor.sizes_of(world, batch) == [2, 5, 4 * 2 + 1, 3, 2, 4, 3]


def test_the_counts_are_means_over_the_batches() -> None:
    world = World(SMALL)
    found = floor.counts(world)
    assert found.users == 6
    assert found.behaviours == np.mean([batch.histories.mask.sum() for batch in world.batches])
    assert (found.widths, found.one_winner, found.itemsize) == ((4, 3, 4), True, 4)
    assert found.interests == SMALL.interests


def test_operations_are_those_of_the_products_one_by_one() -> None:
    found = floor.flops(EXAMPLE)
    users, rows, d, s = 2, 3, 2, 3
    assert found["votes"] == product(4, d, d) * 3
    assert found["softmax"] == product(users, d, s) + product(users, s, d) + product(s, users, d)
    one_way = product(rows, 2, 5) + product(rows, 5, 2)
    assert found["layers"] == 3 * one_way
    # three sums, two updates of logits, one gradient of votes: each D multiply-adds a pair
    assert found["routing"] == (3 + 2 + 1) * 2 * d * 7
    assert found["attention"] == 2 * (2 * d * rows + 2 * d * users)


def test_with_one_winner_the_way_back_is_that_of_one_interest_a_user() -> None:
    found, both = (floor.flops(EXAMPLE._replace(one_winner=x)) for x in (True, False))
    areas = 2 * 5 + 5 * 2
    assert found["layers"] == 2 * areas * 3 + 2 * (2 * areas * 2)
    assert found["routing"] == both["routing"] - 2 * 2 * (7 - 5)
    assert found["votes"] == both["votes"]


def test_word_by_word_every_behaviour_votes_and_all_interests_go_there_and_back() -> None:
    plain = floor.word_by_word(EXAMPLE._replace(one_winner=True))
    found = floor.flops(plain)
    assert found["votes"] == product(5, 2, 2) * 3
    assert found["layers"] == 3 * (product(2 * 4, 2, 5) + product(2 * 4, 5, 2))
    assert found["routing"] == (3 + 2 + 1) * 2 * 2 * 5 * 4
    assert floor.moved(plain)["table"] == floor.moved(EXAMPLE)["table"], "rows move once"


def test_the_bytes_are_those_of_values_and_moments_there_and_back() -> None:
    found = floor.moved(EXAMPLE)
    assert found["table"] == 6 * 6 * 2 * 4
    assert found["matrices"] == 6 * (2 * 2 + 2 * 5 + 5 + 5 * 2 + 2) * 4
    assert found["batch"] == 5 * 8 + 7 * 4 + (2 + 3) * 12


def test_the_bound_is_the_time_of_both() -> None:
    work, bytes_ = sum(floor.flops(EXAMPLE).values()), sum(floor.moved(EXAMPLE).values())
    assert math.isclose(floor.bound(EXAMPLE, work / 2, bytes_ / 3), 2 + 3)


def test_the_measured_products_are_those_of_the_step() -> None:
    shapes = floor.products(EXAMPLE)
    assert (4, 2, 2) in shapes
    assert {(2, 2, 3), (2, 3, 2), (3, 2, 2)} <= set(shapes)
    assert {(3, 2, 5), (3, 5, 2), (2, 3, 5), (5, 3, 2)} <= set(shapes)
    assert len(shapes) == len(set(shapes))


def test_rates_are_work_over_the_least_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def least(work: Any) -> float:
        work()
        return 0.5

    monkeypatch.setattr(floor, "COPIED", 1000)
    monkeypatch.setattr(floor, "least", least)
    made = floor.Floor(SMALL)
    largest = max(m * k * n for m, k, n in floor.products(made.counts))
    assert made.gemm() == 2 * largest / 0.5
    made.source[:] = 7
    assert made.copy() == 2 * 1000 / 0.5
    assert (made.target == 7).all()
