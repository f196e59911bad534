"""The synthetic workload follows its settings and is the same in every process."""

import dataclasses
import json

import numpy as np
import pytest

from mindref.bench.choices import MODELS
from mindref.bench.contenders import Contender
from mindref.bench.workload import (
    LEARNING_RATE,
    NUM_BATCHES,
    Workload,
    WorkloadSettings,
    recipe_config,
    unused_sizes,
)
from tests.bench.tiny_workload import SMALL


def world(**changes):
    return Workload(dataclasses.replace(SMALL, **changes))


def test_a_workload_depends_only_on_its_seed():
    def content(seed):
        created = world(seed=seed)
        params = created.params()
        arrays = [
            created.batches[1].histories.items,
            created.batches[1].target,
            created.histories.values,
        ]
        return [x.tobytes() for x in (*arrays, params.items, params.bilinear)]

    assert content(5) == content(5)
    assert not set(content(5)) & set(content(6))


def test_batches_are_not_memorised():
    """After many steps the numbers are still like those of a training."""
    created = world(dtype="float32")
    subject = Contender("numba", created)
    first = float(subject.step(0))
    for number in range(800):
        subject.step(number % NUM_BATCHES)
    assert abs(float(subject.step(0)) - first) < 0.01 * first
    assert (subject.params.items != created.params().items).any(), "no step was taken"


def test_histories_have_all_lengths():
    lengths = world(users=300).histories.lengths
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert abs(lengths.mean() - 3) < 0.5
    assert not world(batch=50).batches[0].histories.mask.all()


def test_item_probabilities_follow_zipfs_law_in_random_order():
    chances = world().probabilities
    expected = 1 / np.arange(1, 41)
    assert np.allclose(np.sort(chances)[::-1], expected / expected.sum())
    assert (np.diff(chances) > 0).any(), "ids are sorted by popularity"


def test_items_are_drawn_with_their_probabilities():
    created = world(users=20_000, catalogue=5)
    values = created.histories.values
    shares = np.bincount(values, minlength=5) / len(values)
    assert np.allclose(shares, created.probabilities, atol=0.01)


def test_a_batch_has_the_requested_sizes_and_dtype():
    created = world(dtype="float64")
    batch, params = created.batches[0], created.params()
    assert batch.histories.init_logits.shape == (6, 5, 4)
    assert (len(batch.target), len(batch.negatives)) == (6, 7)
    assert batch.target_log_expected.dtype == params.items.dtype == np.float64
    assert params.items.shape == (40, 4)
    assert [layer.weight.shape for layer in params.layers] == [(4, 3), (3, 4)]


@pytest.mark.parametrize("model", MODELS[1:])
def test_a_recipe_has_the_settings_of_the_preset_or_of_the_family(model):
    settings = WorkloadSettings.for_model(model)
    fixed = {"learning_rate": LEARNING_RATE, "decay": "none"}
    assert settings.config() == dataclasses.replace(recipe_config(model), **fixed)
    for changed in (settings, dataclasses.replace(settings, batch=3, power=2.0)):
        assert WorkloadSettings.of(json.loads(json.dumps(changed.to_dict()))) == changed


def test_a_batch_has_the_fields_of_its_family():
    batch, keep = world(model="recommended").batches[0]
    assert keep.shape == (*batch.histories.mask.shape, 4)
    assert set(np.unique(keep)) == {0, 2}
    assert world(model="youtube_dnn").batches[0].histories.init_logits.shape == (6, 5, 0)


def test_sizes_without_effect_are_listed():
    sizes = {model: unused_sizes(recipe_config(model)) for model in MODELS}
    assert sizes == {
        "mind": (),
        "recommended": ("power",),
        "paper": (),
        "youtube_dnn": ("interests", "iterations", "power"),
    }
