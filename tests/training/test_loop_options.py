"""Every setting trains, every split can be judged, and what cannot be is refused beforehand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.models.registry import families_allowing, families_using
from mindref.recommender.trainer import Trainer
from tests.runs import SMALL, SOURCE, loaded, trainer

CHOICES = [
    (setting.name, option)
    for setting in dataclasses.fields(Config)
    for option in setting.metadata.get("options", ())
]
OTHERS: list[tuple[str, Any]] = [
    ("last_relu", True),
    ("normalise", True),
    ("hidden", ()),
    ("hidden", (5, 6)),
    ("interests", 1),
    ("window", 1),
    ("window", 500),
    ("iterations", 1),
    ("sigma", 0.0),
    ("power", 0.0),
    ("power", 1.5),
    ("temperature", 0.5),
    ("alpha", 0.0),
    ("item_features", ("shelf",)),
    ("user_features", ("age",)),
    ("negatives", 1),
    ("batch", 1),
    ("learning_rate", 0.0),
    ("beta1", 0.0),
]


def base_of(name: str, value: Any) -> dict[str, Any]:
    """Return a family that knows a value of a setting: MIND, unless only others do."""
    families = families_allowing(name, value) or families_using(name)
    return {"model": families[0]} if families else {}


COMPILED_ANEW = ("dtype-float64", "routing_gradient-all", "normalise-True", "hidden")
"""Options for which numba compiles the step once more, which takes up to half a minute."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(*x, marks=[pytest.mark.slow] * f"{x[0]}-{x[1]}".startswith(COMPILED_ANEW))
        for x in [*CHOICES, *OTHERS]
    ],
)
def test_every_option_trains(name: str, value: Any) -> None:
    outcome = trainer(**base_of(name, value), **{name: value, "steps": 3}).train()
    assert [epoch.step for epoch in outcome.epochs] == [3]
    assert np.isfinite(outcome.epochs[0].loss)
    for key, array in flatten(outcome.model.params).items():
        assert np.isfinite(array).all(), key
        fitted = not family_of(
            outcome.model.config.model
        ).by_steps  # at once: in the types that it needs
        assert fitted or array.dtype == outcome.model.config.dtype, key


def test_the_paper_s_preset_trains() -> None:
    config = Config.of("paper", SMALL)
    assert Trainer(SOURCE, loaded(), "leave_last_out", config).train().finished


@pytest.mark.parametrize("protocol", ["leave_last_out", "paper", "comirec", "global_time"])
def test_every_split_trains_and_is_judged(protocol: str) -> None:
    made = Trainer(SOURCE, loaded(), protocol, Config.of("default", SMALL))
    made.train()
    assert 0 <= made.evaluate()["metrics"]["test"]["model"]["hit_rate@10"]["value"] <= 1


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("auc@10", r"--metric: expected hit_rate@N or .* with N from 1 to 100000, got 'auc@10'; "),
        ("hit_rate", "--metric: expected"),
        ("hit_rate@0", "--metric: expected"),
    ],
)
def test_a_validation_metric_is_checked_before_training(metric: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(metric=metric)


def test_validation_at_more_than_the_catalogue_is_that_of_the_whole_catalogue() -> None:
    items = len(loaded().log.item_ids)
    beyond, whole = (trainer(metric=f"mrr@{n}") for n in (500, items))
    assert items < 500
    assert beyond.validate(beyond.best) == whole.validate(whole.best) > 0


def test_a_feature_that_the_log_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"item_features: .*\(shelf\), got 'colour'"):
        trainer(item_features=("colour",))
    with pytest.raises(ConfigError, match=r"user_features: .*\(age\), got 'shelf'"):
        trainer(user_features=("shelf",))


def test_features_change_what_is_learned() -> None:
    plain = trainer().train().model
    rich = trainer(item_features=("shelf",), user_features=("age",)).train().model
    assert len(rich.params.items) == len(plain.params.items) + 24
    assert plain.params.profile.shape[0] == 0
    assert rich.params.profile.shape[0] == 7, "six bands of age, and unknown"
    fresh = trainer(item_features=("shelf",), user_features=("age",)).state.params
    assert not np.array_equal(rich.params.profile, fresh.profile), "profiles are learned"
    shelves = slice(len(plain.params.items), None)
    assert not np.array_equal(rich.params.items[shelves], fresh.items[shelves])
