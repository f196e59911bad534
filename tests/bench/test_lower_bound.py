"""Lower bound of a step: the formulas against explicit counts."""

import dataclasses
import math

import numpy as np

from mindref.bench import lower_bound
from mindref.bench.lower_bound import BatchCounts
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.models.mind import Batch, Histories
from tests.bench.tiny_workload import SMALL

EXAMPLE = BatchCounts(
    users=2, behaviours=5, pairs=7, rows=3, voting=4, touched=6, negatives=3, width=2,
    widths=(2, 5, 2), interests=4, iterations=3, one_winner=False, itemsize=4,
)  # fmt: skip


def product(m, k, n):
    """Floating-point operations of a product of (m, k) and (k, n)."""
    return 2 * m * k * n


def test_batch_counts_exclude_padding_and_repeated_items():
    world = Workload(dataclasses.replace(SMALL, interests=2))
    items = np.array([[3, 3, 9, 9], [3, 8, 0, 0]])
    mask = np.array([[True, True, True, True], [True, False, False, False]])
    histories = Histories(items, mask, np.zeros((2, 4, 2)), np.zeros((2, 0), np.int64))
    batch = Batch(histories, np.array([9, 1]), np.array([3, 5, 5]), np.zeros(2), np.zeros(3))
    # behaviours 4 + 1; interests 2 and 1; voting {3, 9}; touched {1, 3, 5, 9}
    assert lower_bound.batch_sizes(world, batch) == (2, 5, 4 * 2 + 1, 3, 2, 4, 3)


def test_mean_counts_average_the_batches():
    world = Workload(SMALL)
    report = lower_bound.mean_counts(world)
    assert report.users == 6
    assert report.behaviours == np.mean([batch.histories.mask.sum() for batch in world.batches])
    assert (report.widths, report.one_winner, report.itemsize) == ((4, 3, 4), True, 4)
    assert report.interests == SMALL.interests


def test_flops_equal_the_sum_over_the_matrix_products():
    report = lower_bound.step_flops(EXAMPLE)
    users, rows, d, s = 2, 3, 2, 3
    assert report["votes"] == product(4, d, d) * 3
    assert report["softmax"] == product(users, d, s) + product(users, s, d) + product(s, users, d)
    one_way = product(rows, 2, 5) + product(rows, 5, 2)
    assert report["layers"] == 3 * one_way
    # three sums, two updates of logits, one gradient of votes: each D multiply-adds a pair
    assert report["routing"] == (3 + 2 + 1) * 2 * d * 7
    assert report["attention"] == 2 * (2 * d * rows + 2 * d * users)


def test_flops_of_the_pooled_loss_count_all_interests():
    pooled = EXAMPLE._replace(attends=False)
    report, rows, d, s = lower_bound.step_flops(pooled), 3, 2, 3
    assert report["softmax"] == 3 * product(rows, d, s)
    assert report["attention"] == 3 * product(rows, d, 1)
    assert {(rows, d, s), (rows, s, d), (s, rows, d)} <= set(lower_bound.product_shapes(pooled))


def test_flops_of_ages_and_contexts_are_added():
    plain, users, behaviours, d, width = lower_bound.step_flops(EXAMPLE), 2, 5, 2, 5
    report = lower_bound.step_flops(EXAMPLE._replace(ages=20, contexts=3))
    # one gradient of a log weight a pair; per context and behaviour a sum and two gradients
    assert report["routing"] == plain["routing"] + 2 * d * 7 + 3 * 3 * 2 * d * behaviours
    assert report["layers"] == plain["layers"] + 3 * product(users, 3 * d, width)
    assert {name for name in plain if plain[name] != report[name]} == {"routing", "layers"}


def test_item_votes_and_dropout_have_no_matrix_but_factors():
    sparse = EXAMPLE._replace(learned_votes=False, widths=(), contexts=1, keeps=2, ages=20)
    assert lower_bound.step_flops(sparse)["votes"] == lower_bound.step_flops(sparse)["layers"] == 0
    assert not {(4, 2, 2), (2, 4, 2)} & set(lower_bound.product_shapes(sparse))
    report, plain = lower_bound.step_bytes(sparse), lower_bound.step_bytes(EXAMPLE)
    assert report["matrices"] == 6 * 20 * 4
    assert report["batch"] == plain["batch"] + 5 * 2 * 4


def test_model_counts_follow_from_the_recipe():
    small = {"batch": 6, "length": 5, "catalogue": 40, "negatives": 7}
    best, sparse, mean = (
        lower_bound.mean_counts(Workload(WorkloadSettings.for_model(model, **small)))
        for model in ("best", "sparse", "youtube_dnn")
    )
    assert (best.contexts, best.ages, best.keeps, best.learned_votes) == (1, 5 * 5, 0, True)
    assert (sparse.contexts, sparse.ages, sparse.keeps, sparse.widths) == (0, 5 * 4, 64, ())
    assert best.rows == sparse.rows == 4 * 6
    assert (mean.rows, mean.pairs, mean.iterations) == (6, mean.behaviours, 1)
    assert not any((mean.routes, mean.learned_votes, mean.one_winner, mean.attends))
    flops = lower_bound.step_flops(mean)
    assert (flops["votes"], flops["routing"]) == (0, 4 * 64 * mean.behaviours)
    assert flops["layers"] == 3 * (product(6, 64, 256) + product(6, 256, 64))


def test_infinite_power_counts_one_interest_per_user_backward():
    report, pair = (lower_bound.step_flops(EXAMPLE._replace(one_winner=x)) for x in (True, False))
    areas = 2 * 5 + 5 * 2
    assert report["layers"] == 2 * areas * 3 + 2 * (2 * areas * 2)
    assert report["routing"] == pair["routing"] - 2 * 2 * (7 - 5)
    assert report["votes"] == pair["votes"]


def test_as_written_counts_share_no_item_and_skip_no_interest():
    plain = lower_bound.as_written_counts(EXAMPLE._replace(one_winner=True))
    report = lower_bound.step_flops(plain)
    assert report["votes"] == product(5, 2, 2) * 3
    assert report["layers"] == 3 * (product(2 * 4, 2, 5) + product(2 * 4, 5, 2))
    assert report["routing"] == (3 + 2 + 1) * 2 * 2 * 5 * 4
    assert lower_bound.step_bytes(plain)["table"] == lower_bound.step_bytes(EXAMPLE)["table"], (
        "each row is moved once"
    )


def test_bytes_count_values_and_moments_read_and_written():
    report = lower_bound.step_bytes(EXAMPLE)
    assert report["table"] == 6 * 6 * 2 * 4
    assert report["matrices"] == 6 * (2 * 2 + 2 * 5 + 5 + 5 * 2 + 2) * 4
    assert report["batch"] == 5 * 8 + 7 * 4 + (2 + 3) * 12


def test_the_bound_adds_arithmetic_and_memory_time():
    work, bytes_ = (
        sum(lower_bound.step_flops(EXAMPLE).values()),
        sum(lower_bound.step_bytes(EXAMPLE).values()),
    )
    assert math.isclose(lower_bound.bound_seconds(EXAMPLE, work / 2, bytes_ / 3), 2 + 3)


def test_rates_use_the_fastest_run(monkeypatch):
    def half_a_second(work):
        work()
        return 0.5

    monkeypatch.setattr(lower_bound, "COPY_BYTES", 1000)
    monkeypatch.setattr(lower_bound, "fastest_run", half_a_second)
    created = lower_bound.MachineRates(SMALL)
    largest = max(m * k * n for m, k, n in lower_bound.product_shapes(created.counts))
    assert created.gemm() == 2 * largest / 0.5
    created.source[:] = 7
    assert created.copy() == 2 * 1000 / 0.5
    assert (created.target == 7).all()
