"""A complete comparison: trials drawn by a hash, choice, seeds, table, resuming."""

import json

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError, RunError
from mindref.experiments import arms, first_hits
from mindref.experiments.arms import Arm, arm_config, safe_file_name, settings_folder
from mindref.experiments.compare import (
    ComparisonPlan,
    arm_trials,
    best_trial,
    draw_value,
    run_comparison,
)
from mindref.experiments.results import ComparisonResult
from mindref.experiments.runs import ExperimentStopped, RunListener
from mindref.models.registry import RECALL_FAMILIES
from mindref.recommender.training.trainer import Trainer
from mindref.run.stored_json import check_json
from mindref.training import loop
from tests.experiments.tiny_experiment import ONE, TWO, base, compared, runs

GRID = {"learning_rate": (0.001, 0.002, 0.01), "window": (5, 10, 20)}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("compared") / "out"


@pytest.fixture(scope="module")
def found(out):
    return compared(out)


@pytest.mark.rules("experiments-R11", "experiments-R12", "experiments-R19")
def test_the_first_of_the_best_trials_is_evaluated_with_all_seeds(out, found):
    check_json(found, ComparisonResult)
    trained, hits, reports = (
        {str(path.parent.relative_to(out)) for path in out.rglob(name)}
        for name in ("experiment.json", first_hits.FILE, "report.json")
    )
    expected, evaluated = set(), set()
    for arm in found["arms"]:
        values = [trial["validation"] for trial in arm["trials"]]
        assert len(values) == 2
        assert values[arm["chosen"]] == max(values)
        expected |= {f"{arm['label']}/trial-{i}/seed-0" for i in (0, 1)}
        evaluated |= {f"{arm['label']}/trial-{arm['chosen']}/seed-{s}" for s in (0, 1)}
    assert hits == reports == evaluated
    assert trained == expected | evaluated
    examples = ([0.1, 0.3, 0.3, 0.2], [0.0], [None, 0.0, None], [None, None])
    assert [best_trial(values) for values in examples] == [1, 0, 1, None]


@pytest.mark.rules("experiments-R3", "experiments-R12")
def test_all_seeds_have_the_chosen_settings_and_the_metrics_of_their_reports(out, found):
    for arm in found["arms"]:
        trial = out / arm["label"] / f"trial-{arm['chosen']}"
        for seed in (0, 1):
            settings = json.loads((trial / f"seed-{seed}" / "config.json").read_text())["settings"]
            assert settings == {**settings, **arm["settings"], "seed": seed}
        for n in (10, 20, 50):
            numbers = arm["metrics"][f"hit_rate@{n}"]
            for seed in (0, 1):
                report = json.loads((trial / f"seed-{seed}" / "report.json").read_text())
                theirs = report["metrics"]["test"]["model"][f"hit_rate@{n}"]["value"]
                assert numbers["by_seed"][seed] == pytest.approx(theirs)
            assert numbers["value"] == pytest.approx(np.mean(numbers["by_seed"]))
            assert numbers["low"] <= numbers["value"] <= numbers["high"]
    first, two = found["arms"]
    assert first["against"] is None, "it is the opponent"
    values = [arm["metrics"]["hit_rate@10"]["value"] for arm in (two, first)]
    assert two["against"]["hit_rate@10"]["difference"] == pytest.approx(values[0] - values[1])


@pytest.mark.rules("experiments-R13", "experiments-R20")
def test_a_repeated_command_trains_nothing_and_returns_the_same_result(out, found, monkeypatch):
    monkeypatch.setattr(Trainer, "__init__", None)
    result = []
    assert compared(out, RunListener(result.append)) == found
    assert len(result) == 6
    assert all(line.endswith("already trained") for line in result)
    text = json.dumps(found)
    assert str(out) not in text
    assert "seconds" not in text
    assert found["command"] == ""


@pytest.mark.rules("experiments-R14", "experiments-R20")
@pytest.mark.parametrize("asked_after", [1, 3, 5])
@pytest.mark.slow(every=3)
def test_a_stopped_and_moved_experiment_gives_the_same_result(tmp_path, found, asked_after):
    result = []
    with pytest.raises(ExperimentStopped):
        compared(tmp_path, RunListener(result.append, stop=lambda: len(result) >= asked_after))
    assert len(result) == asked_after
    assert compared(tmp_path) == found


@pytest.mark.rules("experiments-R16")
def test_every_folder_is_checked_before_training(tmp_path, out, found):
    last = tmp_path / "two" / "trial-1" / "seed-1"
    last.mkdir(parents=True)
    (last / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="expected a new or empty folder"):
        compared(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    with pytest.raises(RunError, match=r"trial-0/seed-0: batch: expected 8, got 16"):
        compared(out, batch=8)
    with pytest.raises(ConfigError, match="models: expected each once"):
        compared(tmp_path / "twice", arms=(ONE, ONE))
    assert not (tmp_path / "twice").exists()


@pytest.mark.rules("experiments-R19")
def test_a_diverged_model_has_no_metrics_and_the_opponent_needs_them(tmp_path, monkeypatch):
    usual = loop.step_learning_rate
    wild = Arm("wild", {"sigma": 0.5}, "wild", {"window": (7,)})

    def rate(config, n):
        return 1e30 if config.sigma == 0.5 and n > 2 else usual(config, n)

    monkeypatch.setattr(loop, "step_learning_rate", rate)
    found = compared(tmp_path, arms=(ONE, wild), trials=2, seeds=1)
    check_json(found, ComparisonResult)
    arm = found["arms"][1]
    assert (arm["chosen"], arm["metrics"], arm["against"]) == (None, None, None)
    assert [trial["validation"] for trial in arm["trials"]] == [None, None]
    assert all("loss" in trial["diverged"] for trial in arm["trials"])
    assert found["arms"][0]["metrics"] is not None
    plan = ComparisonPlan(base(), [ONE, wild], 1, 2, "wild", tmp_path)
    with pytest.raises(RunError, match="wild: expected an opponent with a result"):
        run_comparison(plan, runs())


@pytest.mark.rules("experiments-R1")
def test_arms_share_the_users_that_each_seed_draws(tmp_path):
    plan = ComparisonPlan(base(), [ONE, TWO], 2, 1, "one", tmp_path)
    found = run_comparison(plan, runs(protocol="comirec"))
    folders = [[tmp_path / arm / "trial-0" / f"seed-{s}" for s in (0, 1)] for arm in ("one", "two")]
    one, two = ([first_hits.load_hits(run).users.tolist() for run in arm] for arm in folders)
    assert one == two
    assert one[0] != one[1]
    assert found["data"]["cases"] == [6, 6]
    numbers = found["arms"][1]["metrics"]["hit_rate@50"]
    assert numbers["value"] == pytest.approx(np.mean(numbers["by_seed"]))


@pytest.mark.rules("experiments-R11", "experiments-R26")
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


@pytest.mark.rules("experiments-R21")
def test_settings_that_define_a_model_or_are_given_are_not_tuned(monkeypatch):
    plain, changed = arms.model_arm("recommended"), arms.model_arm("recommended", ["window"])
    assert plain.settings["window"] == 20
    assert {"window", "learning_rate"} <= set(plain.grid)
    assert "window" not in changed.settings | changed.grid
    first = arms.model_arm("recommended-1", ["interests"])
    assert first.settings["interests"] == 1, "what makes it what it is"
    assert "interests" not in first.grid
    assert "steps" not in plain.settings
    content = {"grid": {"window": [5], "beyond": [1]}, "models": {"a": {"settings": {"window": 7}}}}
    monkeypatch.setattr(arms, "read_models", lambda: content)
    assert arms.model_arm("a") == Arm("a", {"model": "a", "window": 7}, "a", {})


@pytest.mark.rules("experiments-R21")
@pytest.mark.parametrize("name", ["item_knn", "own_counts"])
def test_a_fitted_model_starts_as_with_the_option_model(name):
    """So the row of a report, `mindref train --model` and trial 0 are one model."""
    trained = Config.of("mind", {"model": name})
    assert arm_config(Config.of("mind"), arms.model_arm(name).settings) == trained
    given = arm_config(Config.of("mind", {"window": 7}), arms.model_arm(name, ["window"]).settings)
    assert given == Config.of("mind", {"model": name, "window": 7})


def test_every_grid_has_valid_values():
    for model in (*RECALL_FAMILIES, *arms.read_models()["models"]):
        arm = arms.model_arm(model)
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
