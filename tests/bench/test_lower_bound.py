"""Lower bound of a step: the counts against products that are listed by hand."""

import time

import numpy as np
import pytest

from mindref.bench import lower_bound
from mindref.bench.lower_bound import ADAM, EXPONENTIAL, BatchSizes, StepWork
from mindref.bench.workload import WorkloadSettings, recipe_config
from mindref.kernels import peak
from mindref.models.family import family_of
from mindref.models.mind import Batch, Histories
from tests.bench.tiny_workload import SMALL

SIZES = BatchSizes(
    users=2, behaviours=9, pairs=14, interests=3, history_items=5, items=8, negatives=6
)
CHANGES = {"width": 8, "hidden": (5,), "interests": 2, "iterations": 3, "window": 4}
LAYERS = [(8, 5), (5, 8)]
D = 8


def work(model, **changes):
    config = recipe_config(model, {**CHANGES, **changes})
    routes = family_of(config.model).routes
    sizes = SIZES if routes else SIZES._replace(interests=2, pairs=9)
    return lower_bound.step_work(sizes, config, routes=routes)


def products(*shapes):
    """Return the operations of products of (m, k) and (k, n)."""
    return sum(2 * m * k * n for m, k, n in shapes)


def three(m, shape):
    """Return a product of m rows with a matrix, and the products of both gradients."""
    i, o = shape
    return [(m, i, o), (m, o, i), (i, m, o)]


def test_sizes_exclude_padding_and_repeated_items():
    items = np.array([[3, 3, 9, 9], [3, 8, 0, 0]])
    mask = np.array([[True, True, True, True], [True, False, False, False]])
    histories = Histories(items, mask, np.zeros((2, 4, 2)), np.zeros((2, 0), np.int64))
    batch = Batch(histories, np.array([9, 1]), np.array([5, 3, 5]), np.zeros(2), np.zeros(3))
    config = recipe_config("mind", {"interests": 2})
    # interests: floor(log2 4) and 1; distinct items {3, 9} of histories, {1, 3, 5, 9}, {3, 5}
    sizes = lower_bound.batch_sizes(batch, config, routes=True)
    assert sizes == (2, 5, 4 * 2 + 1, 3, 2, 4, 2)
    assert lower_bound.batch_sizes(batch, config, routes=False).pairs == 5


def test_products_are_those_of_distinct_items_and_of_interests_with_a_gradient():
    layers_of_winners = [(3, i, o) for i, o in LAYERS] + [
        shape for i, o in LAYERS for shape in ((2, o, i), (i, 2, o))
    ]
    loss = three(2, (D, 6))
    votes = [(5, D, D), (2, D, D), (D, 2, D)]  # 5 distinct items, then 2 capsules with a gradient
    assert work("mind").products == products(*layers_of_winners, *loss, *votes)
    all_items = [*three(5, (D, D)), *loss, *layers_of_winners]
    assert work("paper").products == products(*all_items)
    layers = [shape for layer in LAYERS for shape in three(3, layer)]
    # with dropout 9 votes, then 3 capsules and 2 contexts; contexts are further inputs
    pooled = [(9, D, D), (5, D, D), (D, 5, D), *layers, *three(2, (D, 5)), *three(3, (D, 6))]
    assert work("recommended").products == products(*pooled)
    layers = [shape for layer in LAYERS for shape in three(2, layer)]
    assert work("youtube_dnn").products == products(*layers, *loss)


def test_sums_of_capsules_are_mapped_if_they_are_fewer_than_votes():
    """With one iteration, three sums are mapped instead of five items."""
    difference = products((5, D, D)) - products((3, D, D))
    assert work("mind").products - work("mind", iterations=1).products == difference


@pytest.mark.parametrize(
    ("model", "sums", "exponentials", "unit", "numbers"),
    [  # multiply-adds of vectors; exponentials; rows of unit vectors; numbers besides the table
        ("mind", 5 * 14 + 9 + 3 * 2 + 3, 2 * 14 + 2 * 6, 0, 80 + 13 + 64),
        ("paper", 5 * 14 + 9 * 14 + 3 * 2 + 3, 2 * 14 + 2 * 6, 0, 80 + 13 + 64),
        (
            "recommended",
            5 * 14 + 14 + 14 + 3 * 9 + 3 * 3,
            2 * 14 + 3 * 6,
            3 + 2 + 6,
            80 + 13 + 64 + 40 + 3 * 4,
        ),
        ("youtube_dnn", 9 + 3 * 2, 2 * 6, 0, 80 + 13),
    ],
)
def test_other_operations_are_sums_exponentials_unit_vectors_and_adam(
    model, sums, exponentials, unit, numbers
):
    expected = 2 * D * sums + EXPONENTIAL * exponentials + 7 * D * unit + ADAM * (8 * D + numbers)
    assert work(model).other == expected


def test_bytes_are_whole_cache_lines_of_the_table_and_its_moments_and_the_dropout():
    assert work("mind").bytes == 6 * 8 * 64  # a row of 32 bytes needs a line
    assert work("mind", dtype="float64", width=9).bytes == 6 * 8 * 128
    assert work("recommended").bytes == 6 * 8 * 64 + 9 * D * 4


def test_the_bound_is_the_larger_time_at_rates_of_all_threads(monkeypatch):
    rates = StepWork(products=2.0, other=1.0, bytes=5.0)
    assert lower_bound.bound_seconds(StepWork(8.0, 3.0, 20.0), rates) == 4 + 3
    assert lower_bound.bound_seconds(StepWork(8.0, 3.0, 45.0), rates) == 9
    monkeypatch.setattr(lower_bound, "REPEATS", 1)
    small = WorkloadSettings(**{**SMALL.to_dict(), "power": 1.0, "hidden": (3,), "threads": 2})
    state = lower_bound.MachineRates({"settings": small.to_dict()})
    answers = [state.execute({"do": "run"})["seconds"] for _ in range(3)]
    assert answers == [lower_bound.bound_seconds(state.work, rates) for rates in state.rates]
    assert state.execute({"do": "end"})["rates"]["bytes"] == np.median(state.rates, axis=0)[2]
    assert 100 < state.rate(5, lambda arrays: time.sleep(0.05)) <= 200, "of two threads"
    x = np.full(3, 6.0)
    peak.multiply_add(x, 1)
    assert (x == 2 + 4 / 2**peak.CHAIN).all()
