"""MIND: the full softmax, vectors of length one in serving, and the order of behaviours."""

import numpy as np
import pytest

from mindref.conformance.tolerances import same_math
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.training.batch_loader import BatchLoader, Task
from tests.assertions import assert_close
from tests.models.worlds import world

HISTORIES = Ragged.of([[0, 1, 2, 3, 5, 5, 4, 1, 2], [], [4]])


@pytest.mark.rules("model-R15")
def test_loss_full_compares_with_every_item_once():
    w = world(np.random.default_rng(0), (3, 4, 2, 5), loss="full", batch=3, window=4, hidden=[])
    sequences = Ragged.of([[0, 1, 2, 3], [4, 5, 0], [2, 2, 1, 5, 3]])
    task = Task(sequences, np.zeros((3, 2), np.int64), w.catalogue, w.sizes)
    batch = BatchLoader(task, w.config).batch(0)
    assert batch.negatives.tolist() == list(range(6))
    loss, saved = w._replace(batch=batch).loss()
    items = w.catalogue.weights[:, :, None] * w.params.items[w.catalogue.rows]
    scores = saved.softmax.user @ items.sum(axis=1).T
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(3), batch.target]).mean()
    assert_close(loss, expected, "full softmax", atol=0)


@pytest.mark.rules("model-R19")
@pytest.mark.parametrize("normalise", [True, False])
def test_with_normalise_what_is_served_has_length_one(normalise):
    w = world(np.random.default_rng(0), (3, 8, 3, 5), normalise=normalise)
    model = serving.Model(w.params, w.catalogue, w.config)
    served = serving.compute_interests(model, HISTORIES, w.histories.profile)
    lengths = np.linalg.norm(served.vectors, axis=-1)
    items = np.linalg.norm(serving.item_matrix(model), axis=-1)
    assert np.allclose(lengths[served.active], 1) == normalise
    assert np.allclose(items, 1) == normalise
    assert not lengths[~served.active].any()


@pytest.mark.rules("model-R16")
def test_another_order_changes_bytes_but_only_by_rounding():
    w = world(np.random.default_rng(0), (32, 20, 4, 64), dtype="float32")
    model, rng = serving.Model(w.params, w.catalogue, w.config), np.random.default_rng(1)
    rows = rng.integers(0, len(w.catalogue.rows), (32, w.config.window))
    vectors, permuted = (
        serving.compute_interests(model, Ragged.of([*x]), w.histories.profile).vectors
        for x in (rows, rng.permuted(rows, axis=1))
    )
    assert vectors.tobytes() != permuted.tobytes(), "to the byte would be too strong a rule"
    moved, lengths = (np.linalg.norm(x, axis=(1, 2)) for x in (permuted - vectors, vectors))
    assert (moved < same_math(np.float32) * lengths).all()
