"""The made-up world: what its settings say, and the same in every process."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from mindref.bench import subjects
from mindref.bench.world import BATCHES, Settings, World
from mindref.errors import ConfigError
from tests.bench.small import SMALL


def world(**changes: Any) -> World:
    return World(dataclasses.replace(SMALL, **changes))


def test_settings_survive_json() -> None:
    for settings in (SMALL, dataclasses.replace(SMALL, power=2.0, ragged=False)):
        assert Settings.of(json.loads(json.dumps(settings.to_dict()))) == settings


def test_the_same_seed_makes_the_same_world_and_another_makes_another() -> None:
    def content(seed: int) -> list[bytes]:
        made = world(seed=seed)
        params = made.params()
        arrays = [made.batches[1].histories.items, made.batches[1].target, made.histories.values]
        return [x.tobytes() for x in (*arrays, params.items, params.bilinear)]

    assert content(5) == content(5)
    assert not set(content(5)) & set(content(6))


def test_no_two_batches_are_the_same() -> None:
    batches = world().batches
    assert len({batch.histories.items.tobytes() for batch in batches}) == len(batches)


def test_batches_are_not_learnt_by_heart() -> None:
    """However often a run goes through them, it computes with numbers such as training has."""
    made = world(dtype="float32")
    subject = subjects.make("numba", made)
    first = float(subject.step(0))
    for number in range(800):
        subject.step(number % BATCHES)
    assert abs(float(subject.step(0)) - first) < 0.01 * first
    assert (subject.params.items != made.params().items).any(), "no step was taken"


def test_ragged_histories_have_all_lengths_and_full_ones_have_one() -> None:
    lengths = world(users=300).histories.lengths
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert abs(lengths.mean() - 3) < 0.5
    assert set(world(users=300, ragged=False).histories.lengths) == {5}
    assert world(ragged=False).batches[0].histories.mask.all()
    assert not world(batch=50).batches[0].histories.mask.all()


def test_chances_follow_the_law_of_zipf_and_stand_anywhere() -> None:
    chances = world(zipf=1.5).chances
    expected = np.arange(1, 41) ** -1.5
    assert np.allclose(np.sort(chances)[::-1], expected / expected.sum())
    assert (np.diff(chances) > 0).any(), "ids in the order of their popularity"
    assert np.allclose(world(zipf=0.0).chances, 1 / 40)


def test_items_are_drawn_with_their_chances() -> None:
    made = world(users=20_000, catalogue=5, zipf=1.0)
    values = made.histories.values
    shares = np.bincount(values, minlength=5) / len(values)
    assert np.allclose(shares, made.chances, atol=0.01)


def test_a_batch_has_the_sizes_and_the_type_that_were_asked_for() -> None:
    made = world(dtype="float64")
    batch, params = made.batches[0], made.params()
    assert batch.histories.init_logits.shape == (6, 5, 4)
    assert (len(batch.target), len(batch.negatives)) == (6, 7)
    assert batch.target_log_expected.dtype == params.items.dtype == np.float64
    assert params.items.shape == (40, 4)
    assert [layer.weight.shape for layer in params.layers] == [(4, 3), (3, 4)]


def test_sizes_that_no_training_can_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="width"):
        world(width=0)
