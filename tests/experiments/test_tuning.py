"""Trials drawn by a hash, equally many per model, and the choice of the best."""

import pytest

from mindref.errors import ConfigError
from mindref.experiments import model_arms
from mindref.experiments.arms import Arm, arm_config, safe_file_name, settings_folder
from mindref.experiments.tuning import arm_trials, best_trial, draw_value
from mindref.models.registry import RECALL_FAMILIES
from tests.experiments.tiny_experiment import base

GRID = {"learning_rate": (0.001, 0.002, 0.01), "window": (5, 10, 20)}


@pytest.mark.rules("experiments-R11")
def test_trial_0_has_the_given_settings_and_trials_are_distinct():
    arm = Arm("a", {}, "a", GRID)
    trials = arm_trials(base(), arm, 7)
    assert trials[0] == {}
    full = [arm_config(base(), trial) for trial in trials]
    assert len({repr(config) for config in full}) == 7
    assert all(trial[name] in GRID[name] for trial in trials[1:] for name in GRID)
    assert arm_trials(base(), arm, 8)[:4] == arm_trials(base(), arm, 4), "more extend fewer"
    assert len(arm_trials(base(), arm, 100)) == 9 + 1, "a small grid gives all its trials"
    assert len(arm_trials(base(), Arm("a", {}, "a", {"window": (5, 10)}), 9)) == 2, "10 is given"
    assert arm_trials(base(), Arm("a", {}, "a"), 9) == [{}]


@pytest.mark.rules("experiments-R11")
def test_models_try_the_same_values_of_a_shared_setting():
    first = Arm("a", {}, "a", GRID)
    other = Arm("b", {"interests": 1}, "b", {**GRID, "sigma": (0.5, 5.0)})
    pairs = list(zip(arm_trials(base(), first, 4), arm_trials(base(), other, 4), strict=True))[1:]
    assert [{name: ours_[name] for name in GRID} for ours_, _ in pairs] == [
        {name: theirs[name] for name in GRID} for _, theirs in pairs
    ]
    values = list(range(97))
    drawn = [[draw_value(values, name, i) for i in range(6)] for name in ("window", "sigma")]
    assert drawn[0] != drawn[1]
    # a digest by hand: the same on every machine and in every version
    assert drawn[0] == [79, 53, 43, 78, 76, 86]


@pytest.mark.rules("experiments-R12", "experiments-R19")
def test_the_first_of_equal_trials_is_chosen_and_never_a_diverged_one():
    assert best_trial([0.1, 0.3, 0.3, 0.2]) == 1
    assert best_trial([0.0]) == 0
    assert best_trial([None, 0.0, None]) == 1
    assert best_trial([None, None]) is None


@pytest.mark.rules("experiments-R22")
def test_settings_given_by_the_user_are_not_tuned():
    assert set(model_arms.model_arm("mind").grid) >= {"learning_rate", "window"}
    assert "window" not in model_arms.model_arm("mind", {"window"}).grid
    assert not set(model_arms.model_arm("mind-1").settings) & set(
        model_arms.model_arm("mind-1").grid
    )
    assert model_arms.model_arm("mind-1").settings["interests"] == 1


@pytest.mark.rules("experiments-R22")
def test_settings_that_define_a_model_are_not_tuned(monkeypatch):
    content = {"grid": {"window": [5], "beyond": [1]}, "models": {"a": {"settings": {"window": 7}}}}
    monkeypatch.setattr(model_arms, "read_models", lambda: content)
    assert model_arms.model_arm("a") == Arm("a", {"model": "a", "window": 7}, "a", {})


def test_every_grid_has_valid_values():
    for model in (*RECALL_FAMILIES, *model_arms.read_models()["models"]):
        arm = model_arms.model_arm(model)
        for name, values in arm.grid.items():
            for value in values:
                changed = arm_config(base(), {**arm.settings, name: value})
                assert getattr(changed, name) == value
    with pytest.raises(ConfigError, match="expected a known setting, got colour"):
        arm_config(base(), {"colour": 1})


def test_folder_names_are_portable():
    assert settings_folder({}) == "base"
    assert settings_folder({"sigma": 5.0, "power": "inf"}) == "power=inf,sigma=5"
    assert settings_folder({"hidden": [256, 64], "last_relu": True}) == "hidden=256-64,last_relu=on"
    assert safe_file_name("a b/c:d") == "a_b_c_d"
    long = safe_file_name("x" * 500)
    assert len(long) <= 120
    assert long != safe_file_name("x" * 501)


@pytest.mark.rules("experiments-R22")
def test_initial_settings_of_a_model_can_be_overridden_and_tuned():
    plain, changed = model_arms.model_arm("best"), model_arms.model_arm("best", ["window"])
    assert plain.settings["window"] == 20
    assert {"window", "learning_rate"} <= set(plain.grid)
    assert "window" not in changed.settings
    assert "window" not in changed.grid
    first = model_arms.model_arm("best-1", ["interests"])
    assert first.settings["interests"] == 1, "what makes it what it is"
    assert "interests" not in first.grid
    assert "steps" not in plain.settings
