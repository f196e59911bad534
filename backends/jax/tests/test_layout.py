"""Batches in few shapes: nothing but the number of compilations depends on it."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.bench.world import Settings, World
from mindref.conformance.tolerances import SAME_MATH
from mindref.errors import ShapeError
from mindref.models import mind
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, flatten
from mindref_jax.backend import JaxBackend
from mindref_jax.layout import bucket, numbered, trimmed
from mindref_jax.level_train import take_step

WORLD = World(
    Settings(batch=12, length=30, width=4, hidden=(5,), negatives=9, catalogue=50, dtype="float64")
)
SAME = SAME_MATH[np.dtype(np.float64)]


def cut(batch: Batch, places: int) -> Batch:
    """Return a batch whose histories have so many places, the first of those they have."""
    items, mask, logits, profile = batch.histories
    return batch._replace(
        histories=Histories(items[:, :places], mask[:, :places], logits[:, :places], profile)
    )


def test_a_bucket_is_a_quarter_larger_at_most_and_there_are_few() -> None:
    sizes = np.arange(1, 5000)
    found = np.array([bucket(int(n)) for n in sizes])
    assert (found >= sizes).all()
    assert (found <= 1.25 * sizes).all()
    assert len(set(found)) == 45
    assert bucket(0) == 0


@pytest.mark.rules("routing-R6")
def test_a_history_is_cut_to_its_longest_and_filled_up_to_a_bucket() -> None:
    histories = WORLD.batches[0].histories
    some = Histories(*(x[:, :9] for x in histories[:3]), histories.profile)
    assert trimmed(some, 30).items.shape[1] == bucket(int(some.mask.any(0).sum()))
    assert trimmed(some, 9).items.shape[1] == 9
    empty = some._replace(mask=np.zeros_like(some.mask))
    assert trimmed(empty, 30).items.shape == (12, 0)


@pytest.mark.rules("model-R16")
def test_loss_and_interests_do_not_depend_on_the_shapes() -> None:
    params, catalogue, config = WORLD.params(), WORLD.catalogue, WORLD.config
    ours = JaxBackend()
    for places in (0, 1, 9, 30):
        batch = cut(WORLD.batches[0], places)
        loss, gradients = ours.loss_and_gradients(params, batch, catalogue, config)
        vectors, active = ours.interests(params, batch.histories, catalogue, config)
        want = expected(batch)
        np.testing.assert_allclose(loss, want["loss"], rtol=SAME)
        np.testing.assert_allclose(vectors, want["interests"], rtol=0, atol=SAME)
        np.testing.assert_array_equal(active, want["active"])
        np.testing.assert_array_equal(gradients.items.rows, want["rows"])
        np.testing.assert_allclose(gradients.items.values, want["values"], rtol=0, atol=SAME)


def expected(batch: Batch) -> dict[str, np.ndarray]:
    """Return what the reference says of a batch."""
    given = (WORLD.params(), batch, WORLD.catalogue, WORLD.config)
    loss, saved = mind.loss(*given)
    table = mind.backward(saved).items
    vectors, active, _ = mind.interests(given[0], batch.histories, WORLD.catalogue, WORLD.config)
    return {
        "loss": loss, "interests": vectors, "active": active,
        "rows": table.rows, "values": table.values,
    }  # fmt: skip


def test_a_training_compiles_its_step_a_few_times() -> None:
    backend, params = JaxBackend(), WORLD.params()
    state = backend.init(params, WORLD.config)
    before = take_step._cache_size()
    for number in range(33):
        batch = cut(WORLD.batches[number % 8], 20 + number % 11)
        state, _ = backend.step(state, batch, WORLD.catalogue, WORLD.config, 1e-3)
    assert take_step._cache_size() - before <= 8  # of 33 batches with 11 lengths


@pytest.mark.rules("embedding-R6")
def test_rows_with_weight_zero_only_are_read_and_not_written() -> None:
    rows, weights = np.array([[4, 1], [2, 4], [1, 0]]), np.array([[1, 0.0], [1, 1], [0.0, 1]])
    found, items = numbered("catalogue", rows, weights, 5)
    assert found.written[: found.named].tolist() == [0, 2, 4]
    assert (found.written[found.named :] >= 5).all()
    assert (found.read[items.rows] == rows).all()
    assert len(set(found.written)) == len(found.written)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (1, 1), (400, 2)])
def test_rows_of_a_large_table_are_numbered_as_those_of_a_small_one(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.integers(900, size=shape), rng.choice([0.0, 1.0], shape)
    few, many = (numbered("catalogue", rows, weights, size) for size in (900, 10**15))
    assert few[0].named == many[0].named
    assert (few[1].rows == many[1].rows).all()
    inside = few[0].read < 900
    for small, large in zip(few[0][:2], many[0][:2], strict=True):
        assert small[small < 900].tolist() == large[large < 10**15].tolist()
    assert inside.sum() == len(np.unique(rows))
    assert (few[0].read[few[1].rows] == rows).all()


@pytest.mark.rules("model-R18")
@pytest.mark.parametrize("wrong", [-1, 50])
def test_an_item_that_is_not_there_is_refused_before_anything_moves(wrong: int) -> None:
    backend, batch = JaxBackend(), WORLD.batches[0]
    state = backend.init(WORLD.params(), WORLD.config)
    target = batch.target.copy()
    target[3] = wrong
    with pytest.raises(ShapeError, match="from 0 to 49"):
        backend.step(state, batch._replace(target=target), WORLD.catalogue, WORLD.config, 1e-3)
    after = flatten(backend.parameters(state))
    for name, x in flatten(WORLD.params()).items():
        assert np.array(after[name]).tobytes() == x.tobytes(), name


def test_a_catalogue_of_rows_that_the_table_lacks_is_refused() -> None:
    catalogue = Catalogue(WORLD.catalogue.rows + 1, WORLD.catalogue.weights)
    with pytest.raises(ShapeError, match="catalogue"):
        JaxBackend().loss_and_gradients(WORLD.params(), WORLD.batches[0], catalogue, WORLD.config)
