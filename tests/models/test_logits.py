"""Initial logits of specs/routing.md: their distribution, what they depend on, who uses which."""

import math

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.data.log import Ragged
from mindref.models.logits import draw_logits, history_logits, keyed_table
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.models.serving import serving_logits
from mindref.training.batch_loader import BatchLoader, Task
from tests.assertions import assert_close

ITEMS, INTERESTS = 7, 3
WORD = (1 << 64) - 1


def looks_normal(x, sigma):
    """Require mean, deviation, shares within 1, 2 and 3 sigma, and a tail that is not cut off."""
    size = x.size
    assert abs(x.mean()) < STANDARD_ERRORS * sigma / math.sqrt(size)
    assert x.std() == pytest.approx(sigma, rel=STANDARD_ERRORS / math.sqrt(2 * size))
    for k, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        spread = STANDARD_ERRORS * math.sqrt(share * (1 - share) / size)
        assert np.mean(np.abs(x) < k * sigma) == pytest.approx(share, abs=spread)
        assert np.mean(x < k * sigma) == pytest.approx((1 + share) / 2, abs=spread)


@pytest.mark.rules("routing-R14")
@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_drawn_logits_are_normal_with_the_deviation_asked_for(sigma):
    x = draw_logits(np.random.default_rng(3), (100, 50, 8), sigma, "float64")
    looks_normal(x, sigma)
    for axis in range(3):  # no number is repeated along an axis
        ahead = np.moveaxis(x, axis, 0)
        assert abs(np.corrcoef(ahead[1:].ravel(), ahead[:-1].ravel())[0, 1]) < 0.03


@pytest.mark.rules("routing-R14")
def test_drawn_logits_come_from_the_generator_and_move_it_on():
    rng = np.random.default_rng(3)
    first, second, again = (
        draw_logits(x, (2, 4, 3), 1.0, "float32") for x in (rng, rng, np.random.default_rng(3))
    )
    assert first.dtype == np.float32
    assert not np.isin(first, second).any()
    np.testing.assert_array_equal(again, first)


@pytest.mark.rules("routing-R15")
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_keyed_logits_are_normal_and_independent(sigma):
    table = keyed_table(0, 20_000, 4, sigma, "float64")
    looks_normal(table, sigma)
    neighbours = [(table[1:], table[:-1]), (table[:, 1:], table[:, :-1])]
    neighbours.append((table, keyed_table(1, 20_000, 4, sigma, "float64")))
    for one, other in neighbours:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.rules("routing-R15")
def test_a_keyed_logit_depends_on_seed_item_and_interest_alone():
    small, large = (
        keyed_table(9, *sizes, 1.0, "float64") for sizes in [(ITEMS, INTERESTS), (1000, 8)]
    )
    np.testing.assert_array_equal(large[:ITEMS, :INTERESTS], small)
    assert len(np.unique(large)) == large.size
    assert not np.isin(keyed_table(10, ITEMS, INTERESTS, 1.0, "float64"), large).any()


@pytest.mark.rules("routing-R15")
@pytest.mark.parametrize("seed", [0, 1, 2**32 + 1, 2**40 + 7, 2**63 - 1])
def test_keyed_logits_are_those_of_whole_number_arithmetic(seed):
    for (item, interest), logit in np.ndenumerate(keyed_table(seed, ITEMS, INTERESTS, 2.0, "f8")):
        key = mixed(mixed(mixed(seed) ^ item) ^ interest)
        a, c = (((mixed(key ^ n) >> 11) + 0.5) / 2.0**53 for n in (1, 2))
        expected = 2.0 * math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * c)
        assert_close(logit, expected, atol=0)


def mixed(x):
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & WORD
    return x ^ x >> 31


def settings(logits):
    changes = {"logits": logits, "interests": INTERESTS, "width": 5, "batch": 16, "negatives": 4}
    return Config.of(changes={**changes, "window": 6, "sigma": 0.3})


def of_training(config, step):
    """Return the logits of a training batch and those that serving would give its histories."""
    sequences = Ragged.of([[0, 1, 2, 3], [4, 5, 6, 0, 1], [2, 2, 2]])
    catalogue = catalogue_of_ids(ITEMS, config.dtype)
    task = Task(sequences, np.zeros((3, 0), np.int64), catalogue, Sizes(ITEMS, ITEMS, 0, 0))
    histories = BatchLoader(task, config).batch(step).histories
    table = keyed_table(config.seed, ITEMS, INTERESTS, config.sigma, config.dtype)
    return histories.init_logits, history_logits(table, histories.items)


@pytest.mark.rules("routing-R16", "routing-R17")
def test_keyed_draws_afresh_in_every_training_step_and_fixed_trains_on_those_of_serving():
    drawn = [of_training(settings("keyed"), step) for step in range(20)]
    assert not np.isin(drawn[0][0], drawn[0][1]).any()
    assert not np.isin(drawn[0][0], drawn[1][0]).any()
    looks_normal(np.concatenate([logits.ravel() for logits, _ in drawn]), 0.3)
    for step in range(2):
        np.testing.assert_array_equal(*of_training(settings("fixed"), step))


@pytest.mark.rules("routing-R16", "routing-R17")
@pytest.mark.parametrize("logits", ["keyed", "fixed"])
def test_serving_gives_an_item_the_same_logits_in_any_batch_and_place(logits):
    config = settings(logits)
    table = keyed_table(config.seed, ITEMS, INTERESTS, config.sigma, config.dtype)
    history = np.random.default_rng(1).integers(0, ITEMS, (5, 6))
    found = serving_logits(config, ITEMS, history)
    np.testing.assert_array_equal(found, table[history])
    alone = serving_logits(config, ITEMS, history[3:4, ::-1])
    np.testing.assert_array_equal(alone[:, ::-1], found[3:4])


@pytest.mark.rules("routing-R18")
def test_per_call_draws_in_serving_whatever_the_items():
    config = settings("per_call")
    history = np.full((40, 6), 2)
    found = serving_logits(config, ITEMS, history)
    assert len(np.unique(found)) == found.size
    looks_normal(found, 0.3)
    rng = np.random.default_rng(4)
    requests = [serving_logits(config, ITEMS, history, rng) for _ in range(2)]
    assert not np.isin(requests[0], requests[1]).any(), "the next request is another draw"
