"""Batches in few shapes: only the number of compilations depends on them."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.bench.workload import Workload, WorkloadSettings
from mindref.conformance.tolerances import SAME_MATH
from mindref.errors import ShapeError
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue
from mindref_jax.backend import JaxBackend
from mindref_jax.layout import MIN_ROWS, bucket_size, number_rows, trim_histories
from mindref_jax.level_train import take_step

WORKLOAD = Workload(
    WorkloadSettings(
        batch=12, length=30, width=4, hidden=(5,), negatives=9, catalogue=50, dtype="float64"
    )
)
SAME = SAME_MATH[np.dtype(np.float64)]


def cut_histories(batch: Batch, length: int) -> Batch:
    items, mask, logits, profile = batch.histories
    return batch._replace(
        histories=Histories(items[:, :length], mask[:, :length], logits[:, :length], profile)
    )


def test_bucket_sizes_are_few_and_at_most_a_quarter_larger() -> None:
    sizes = np.arange(1, 5000)
    buckets = np.array([bucket_size(int(n)) for n in sizes])
    assert (buckets >= sizes).all()
    assert (buckets <= 1.25 * sizes).all()
    assert len(set(buckets)) == 45
    assert bucket_size(0) == 0


@pytest.mark.rules("routing-R6")
def test_histories_are_cut_and_padded_to_the_bucket_of_the_longest() -> None:
    histories = WORKLOAD.batches[0].histories
    shorter = Histories(*(x[:, :9] for x in histories[:3]), histories.profile)
    assert trim_histories(shorter, 30).items.shape[1] == bucket_size(int(shorter.mask.any(0).sum()))
    assert trim_histories(shorter, 9).items.shape[1] == 9
    empty = shorter._replace(mask=np.zeros_like(shorter.mask))
    assert trim_histories(empty, 30).items.shape == (12, 0)


def test_a_training_compiles_its_step_only_a_few_times() -> None:
    backend, params = JaxBackend(), WORKLOAD.params()
    state = backend.init(params, WORKLOAD.config)
    before = take_step._cache_size()
    for number in range(33):
        batch = cut_histories(WORKLOAD.batches[number % 8], 20 + number % 11)
        state, _ = backend.step(state, batch, WORKLOAD.catalogue, WORKLOAD.config, 1e-3)
    assert take_step._cache_size() - before <= 8  # of 33 batches with 11 lengths


@pytest.mark.rules("embedding-R6")
def test_rows_with_only_weight_zero_are_not_written() -> None:
    rows, weights = np.array([[4, 1], [2, 4], [1, 0]]), np.array([[1, 0.0], [1, 1], [0.0, 1]])
    numbered, items = number_rows("catalogue", rows, weights, 5)
    assert numbered.written[: numbered.num_written].tolist() == [0, 2, 4]
    assert (numbered.written[numbered.num_written :] >= 5).all()
    assert (numbered.read[items.rows] == rows).all()
    assert len(set(numbered.written)) == len(numbered.written)


def test_small_numbers_of_rows_share_one_size() -> None:
    for count in (1, 9, MIN_ROWS, MIN_ROWS + 1):
        rows, _ = number_rows("catalogue", np.arange(count)[:, None], np.ones((count, 1)), count)
        assert len(rows.read) == max(MIN_ROWS, bucket_size(count))
    empty, _ = number_rows("profile", np.zeros((3, 0), int), np.ones((3, 0)), 0)
    assert len(empty.read) == 0


@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (1, 1), (400, 2)])
def test_numbers_of_rows_do_not_depend_on_the_table_size(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.integers(900, size=shape), rng.choice([0.0, 1.0], shape)
    few, many = (number_rows("catalogue", rows, weights, size) for size in (900, 10**15))
    assert few[0].num_written == many[0].num_written
    assert (few[1].rows == many[1].rows).all()
    inside = few[0].read < 900
    for small, large in zip(few[0][:2], many[0][:2], strict=True):
        assert small[small < 900].tolist() == large[large < 10**15].tolist()
    assert inside.sum() == len(np.unique(rows))
    assert (few[0].read[few[1].rows] == rows).all()


def test_a_catalogue_with_rows_outside_the_table_is_an_error() -> None:
    catalogue = Catalogue(WORKLOAD.catalogue.rows + 1, WORKLOAD.catalogue.weights)
    with pytest.raises(ShapeError, match="catalogue"):
        JaxBackend().loss_and_gradients(
            WORKLOAD.params(), WORKLOAD.batches[0], catalogue, WORKLOAD.config
        )
