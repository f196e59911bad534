"""Trials drawn by key, as many for everybody, and the choice among them."""

from __future__ import annotations

import pytest

from mindref.config import MODELS
from mindref.errors import ConfigError
from mindref.experiments import models
from mindref.experiments.arms import Arm, folder_of, settings_of, slug
from mindref.experiments.tuning import best_of, draw, trials_of
from tests.experiments.small import base

GRID = {"learning_rate": (0.001, 0.002, 0.01), "window": (5, 10, 20)}


@pytest.mark.rules("experiments-R11")
def test_trial_0_has_the_settings_as_given_and_none_comes_twice() -> None:
    trials = trials_of(base(), Arm("a", {}, "a", GRID), 7)
    assert trials[0] == {}
    full = [settings_of(base(), trial) for trial in trials]
    assert len({repr(config) for config in full}) == 7
    assert all(trial[name] in GRID[name] for trial in trials[1:] for name in GRID)


@pytest.mark.rules("experiments-R11")
def test_more_trials_are_these_and_others() -> None:
    arm = Arm("a", {}, "a", GRID)
    assert trials_of(base(), arm, 8)[:4] == trials_of(base(), arm, 4)


@pytest.mark.rules("experiments-R11")
def test_two_models_try_the_same_values_of_a_setting_that_they_share() -> None:
    one = Arm("a", {}, "a", GRID)
    other = Arm("b", {"interests": 1}, "b", {**GRID, "sigma": (0.5, 5.0)})
    pairs = list(zip(trials_of(base(), one, 4), trials_of(base(), other, 4), strict=True))[1:]
    assert [{name: mine[name] for name in GRID} for mine, _ in pairs] == [
        {name: theirs[name] for name in GRID} for _, theirs in pairs
    ]
    values = list(range(97))
    drawn = [[draw(values, name, i) for i in range(6)] for name in ("window", "sigma")]
    assert drawn[0] != drawn[1]
    # a digest by hand: the same on every machine and in every version
    assert drawn[0] == [79, 53, 43, 78, 76, 86]


@pytest.mark.rules("experiments-R11")
def test_a_small_grid_gives_all_it_has() -> None:
    assert len(trials_of(base(), Arm("a", {}, "a", {"window": (5, 10)}), 9)) == 2, "10 is given"
    assert trials_of(base(), Arm("a", {}, "a"), 9) == [{}]
    assert len(trials_of(base(), Arm("a", {}, "a", GRID), 100)) == 9 + 1


@pytest.mark.rules("experiments-R12")
def test_the_first_of_the_best_is_taken() -> None:
    assert best_of([0.1, 0.3, 0.3, 0.2]) == 1
    assert best_of([0.0]) == 0


@pytest.mark.rules("experiments-R19")
def test_a_trial_that_diverged_is_never_taken() -> None:
    assert best_of([None, 0.0, None]) == 1
    assert best_of([None, None]) is None


@pytest.mark.rules("experiments-R22")
def test_what_is_given_is_not_tuned() -> None:
    assert set(models.arm_of("mind").grid) >= {"learning_rate", "window"}
    assert "window" not in models.arm_of("mind", {"window"}).grid
    assert not set(models.arm_of("mind-1").settings) & set(models.arm_of("mind-1").grid)
    assert models.arm_of("mind-1").settings["interests"] == 1


@pytest.mark.rules("experiments-R22")
def test_what_a_model_has_of_its_own_is_not_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"grid": {"window": [5], "beyond": [1]}, "models": {"a": {"settings": {"window": 7}}}}
    monkeypatch.setattr(models, "table", lambda: content)
    assert models.arm_of("a") == Arm("a", {"model": "a", "window": 7}, "a", {})


def test_every_grid_has_values_that_are_allowed() -> None:
    for model in (*MODELS, *models.table()["models"]):
        arm = models.arm_of(model)
        for name, values in arm.grid.items():
            for value in values:
                changed = settings_of(base(), {**arm.settings, name: value})
                assert getattr(changed, name) == value


def test_folders_are_names_that_every_system_takes() -> None:
    assert folder_of({}) == "base"
    assert folder_of({"sigma": 5.0, "power": "inf"}) == "power=inf,sigma=5"
    assert folder_of({"hidden": [256, 64], "last_relu": True}) == "hidden=256-64,last_relu=on"
    assert slug("a b/c:d") == "a_b_c_d"
    long = slug("x" * 500)
    assert len(long) <= 120
    assert long != slug("x" * 501)


def test_an_unknown_setting_of_an_arm_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected a known setting, got colour"):
        settings_of(base(), {"colour": 1})


@pytest.mark.rules("experiments-R22")
def test_what_a_recipe_begins_with_gives_way_and_is_tuned() -> None:
    plain, changed = models.arm_of("best"), models.arm_of("best", ["window"])
    assert plain.settings["window"] == 20
    assert {"window", "learning_rate"} <= set(plain.grid)
    assert "window" not in changed.settings
    assert "window" not in changed.grid
    one = models.arm_of("best-1", ["interests"])
    assert one.settings["interests"] == 1, "what makes it what it is"
    assert "interests" not in one.grid
    assert "steps" not in plain.settings
