"""Each of the four parts of MIND, replaced by its named option."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.tolerances import same_math
from mindref.data.log import Ragged
from mindref.models import mind, serving
from mindref.ops import squash
from mindref.training.batch_loader import BatchLoader, Task
from tests.models.worlds import World, world, worlds

HISTORIES = Ragged.of([[0, 1, 2, 3, 5, 5, 4, 1, 2], [], [4]])


def loss_of(w: World, **changes: Any) -> Any:
    config = dataclasses.replace(w.config, **changes)
    return mind.loss(w.params, w.batch, w.catalogue, config)[0]


def saved_of(w: World) -> Any:
    return mind.interests(w.params, w.batch.histories, w.catalogue, w.config)[2]


@pytest.mark.rules("model-R12")
@given(data=st.data())
def test_uniform_routing_is_one_round_of_equal_weights(data: st.DataObject) -> None:
    w = data.draw(worlds(routing="uniform", routing_axis="interests"))
    histories = w.batch.histories
    _, active, saved = mind.interests(w.params, histories, w.catalogue, w.config)
    share = active / active.sum(axis=1, keepdims=True)
    expected = histories.mask[:, :, None] * share[:, None, :]
    np.testing.assert_allclose(
        saved.routing.couplings, expected, rtol=same_math(np.float64), err_msg="couplings"
    )
    assert len(saved.routing.iterations) == 1


@pytest.mark.rules("model-R13")
@pytest.mark.parametrize("kind", squash.KINDS)
def test_the_named_squash_reaches_routing(kind: str) -> None:
    w = world(np.random.default_rng(0), (2, 6, 2, 3), squash=kind)
    rounds = saved_of(w).routing.iterations
    assert len(rounds) == w.config.iterations
    for turn in rounds:
        sums = np.einsum("blk,bld->bkd", turn.weights.out, saved_of(w).routing.votes)
        np.testing.assert_allclose(
            turn.capsules,
            squash.forward(sums, kind=kind)[0],
            rtol=same_math(np.float64),
            err_msg=kind,
        )


@pytest.mark.rules("model-R14")
@pytest.mark.parametrize("power", [0.5, 2.0, np.inf])
def test_attention_mean_is_the_mean_of_the_active_interests(power: float) -> None:
    w = world(np.random.default_rng(0), (3, 9, 4, 5), power=power, attention="mean")
    out, active, _ = mind.interests(w.params, w.batch.histories, w.catalogue, w.config)
    _, saved = mind.loss(w.params, w.batch, w.catalogue, w.config)
    expected = out.sum(axis=1) / active.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        saved.softmax.user, expected, rtol=same_math(np.float64), err_msg="user"
    )
    assert loss_of(w) == loss_of(w, attention="label", power=0.0)
    assert loss_of(w) != loss_of(w, attention="label")


@pytest.mark.rules("model-R15")
def test_loss_full_compares_with_every_item_once() -> None:
    w = world(np.random.default_rng(0), (3, 4, 2, 5), loss="full", batch=3, window=4, hidden=[])
    sequences = Ragged.of([[0, 1, 2, 3], [4, 5, 0], [2, 2, 1, 5, 3]])
    task = Task(sequences, np.zeros((3, 2), np.int64), w.catalogue, w.sizes)
    batch = BatchLoader(task, w.config).batch(0)
    assert batch.negatives.tolist() == list(range(6))
    loss, saved = mind.loss(w.params, batch, w.catalogue, w.config)
    items = w.catalogue.weights[:, :, None] * w.params.items[w.catalogue.rows]
    scores = saved.softmax.user @ items.sum(axis=1).T
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(3), batch.target]).mean()
    np.testing.assert_allclose(loss, expected, rtol=same_math(np.float64), err_msg="full softmax")


@pytest.mark.rules("model-R19")
@pytest.mark.parametrize("normalise", [True, False])
def test_with_normalise_what_is_served_has_length_one(normalise: bool) -> None:
    w = world(np.random.default_rng(0), (3, 8, 3, 5), normalise=normalise)
    model = serving.Model(w.params, w.catalogue, w.config)
    served = serving.compute_interests(model, HISTORIES, w.batch.histories.profile)
    lengths = np.linalg.norm(served.vectors, axis=-1)
    items = np.linalg.norm(serving.item_matrix(model), axis=-1)
    assert np.allclose(lengths[served.active], 1) == normalise
    assert np.allclose(items, 1) == normalise
    assert not lengths[~served.active].any()


@pytest.mark.rules("model-R16")
def test_a_user_is_served_the_same_alone_and_in_company() -> None:
    w = world(np.random.default_rng(0), (3, 8, 3, 5))
    model = serving.Model(w.params, w.catalogue, w.config)
    profile = w.batch.histories.profile
    together = serving.compute_interests(model, HISTORIES, profile).vectors
    for b in range(3):
        alone = serving.compute_interests(model, Ragged.of([HISTORIES.row(b)]), profile[b : b + 1])
        np.testing.assert_allclose(
            alone.vectors[0], together[b], rtol=same_math(np.float64), err_msg=f"user {b}"
        )
