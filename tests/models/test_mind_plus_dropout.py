"""Dropout of MIND plus: the drawn factors, where they apply, and no dropout in serving."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.data.log import Ragged
from mindref.models import mind_plus, serving
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.training.batch_loader import BatchLoader, Task
from tests.assertions import assert_close, assert_equal_arrays
from tests.models.worlds import plus_config, plus_world

ITEMS = 9
SEQUENCES = Ragged.of([[0, 1, 2, 3], [4, 5, 6, 0, 1, 7, 8, 8, 2], [2, 2, 2]])
RATES = [0.1, 0.5, 0.9]


def fed(dropout: float, step: int = 0, **changes: Any) -> mind_plus.Batch:
    """Return a batch from three sequences."""
    settings = {"batch": 64, "negatives": 8, "window": 7, "width": 24, **changes}
    config = plus_config(dropout=dropout, **settings)
    catalogue = catalogue_of_ids(ITEMS, config.dtype)
    task = Task(SEQUENCES, np.zeros((3, 0), np.int64), catalogue, Sizes(ITEMS, ITEMS, 0, 0))
    found: mind_plus.Batch = BatchLoader(task, config).batch(step)
    return found


def kept(dropout: float, step: int = 0, **changes: Any) -> Any:
    """Return its factors."""
    found = fed(dropout, step, **changes).keep
    assert found is not None
    return found


@pytest.mark.rules("mind_plus-R14")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_are_dropped_by_chance_and_the_others_count_for_them(
    rate: float, dtype: str
) -> None:
    keep = kept(rate, dtype=dtype)
    assert keep.shape == (64, 7, 24)
    assert keep.dtype == np.dtype(dtype)
    assert set(np.unique(keep)) == {0, np.dtype(dtype).type(1 / (1 - rate))}
    spread = STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / keep.size)
    assert np.mean(keep == 0) == pytest.approx(rate, abs=spread)
    error = spread / (1 - rate)
    assert keep.mean() == pytest.approx(1, abs=error), "expectation unchanged"


@pytest.mark.rules("mind_plus-R14")
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_entries_are_independent(axis: int) -> None:
    """Not whole behaviours, not the same entries of all behaviours, not those of all users."""
    ahead = np.moveaxis(kept(0.5), axis, 0)
    one, other = ahead[1:].ravel(), ahead[:-1].ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < STANDARD_ERRORS / math.sqrt(one.size)


@pytest.mark.rules("mind_plus-R14")
def test_only_what_routing_and_contexts_are_given_is_dropped() -> None:
    """A batch without any entry left is one of users whose behaviours are zero vectors."""
    w = plus_world(0, recency="interests", contexts=2, attention="pooled")
    keep = np.zeros((4, 17, 5))
    empty = w._replace(batch=w.batch._replace(keep=keep))
    out, active, saved = empty.interests()
    assert active.sum(axis=1).tolist() == [4, 1, 2, 1], "they are behaviours still"
    assert_close(out[0], out[0, :1] + np.zeros((4, 1)), atol=0)
    rows = empty.gradients().items.dense(w.sizes.item_rows)
    ids = np.concatenate([w.shared.target, w.shared.negatives])
    counted = w.catalogue.rows[ids][w.catalogue.weights[ids] > 0]
    assert set(np.flatnonzero(rows.any(axis=1))) <= set(counted)
    assert rows.any(), "targets and negatives are whole"
    assert saved.keep is keep


@pytest.mark.rules("mind_plus-R14", "mind_plus-R16")
def test_factors_of_one_are_no_dropout() -> None:
    assert fed(0.0).keep is None
    w = plus_world(0, recency="interests", contexts=1)
    ones, twos = (
        w._replace(batch=w.batch._replace(keep=np.full((4, 17, 5), x))) for x in (1.0, 2.0)
    )
    assert w.batch.keep is None
    assert ones.loss()[0] == w.loss()[0]
    assert twos.loss()[0] != w.loss()[0]


@pytest.mark.rules("mind_plus-R15")
def test_the_same_seed_and_step_drop_the_same_entries() -> None:
    keep = kept(0.5, 3)
    assert kept(0.5, 3).tobytes() == keep.tobytes()
    assert kept(0.5, 4).tobytes() != keep.tobytes()
    assert kept(0.5, 3, seed=1).tobytes() != keep.tobytes()


@pytest.mark.rules("mind_plus-R15")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("logits", ["keyed", "fixed"])
def test_dropout_changes_no_other_array_of_the_batch(rate: float, logits: str) -> None:
    dropped, whole = fed(rate, 2, logits=logits).shared, fed(0.0, 2, logits=logits).shared
    assert_equal_arrays([*dropped.histories, *dropped[1:]], [*whole.histories, *whole[1:]])


@pytest.mark.rules("mind_plus-R16")
def test_serving_has_no_dropout() -> None:
    vectors = []
    for rate in (0.0, 0.9):
        w = plus_world(0, dropout=rate, recency="interests", contexts=1)
        model: Any = serving.Model(w.params, w.catalogue, w.config)
        histories = Ragged.of([[0, 1, 2, 3], [], [5, 5, 4, 0, 2]])
        served = serving.compute_interests(model, histories, w.histories.profile[:3])
        vectors.append(served.vectors)
    assert vectors[0].any()
    assert vectors[0].tobytes() == vectors[1].tobytes()
