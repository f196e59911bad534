"""The studies, and a complete ablation."""

import pytest

from mindref.config import Config
from mindref.errors import ConfigError, RunError
from mindref.experiments import ablate as room
from mindref.experiments import studies
from mindref.experiments.ablate import AblationPlan, run_ablation
from mindref.experiments.results import AblationResult
from mindref.experiments.runs import RunListener
from mindref.presets import PRESETS
from mindref.run.stored_json import check_json
from tests.experiments.tiny_experiment import base, runs

SIGMA = studies.Study("sigma", "Sigma", "?", "0.1", {"0.1": {"sigma": 0.1}, "5": {"sigma": 5.0}})
TURNED = studies.Study("turned", "The same", "?", "b", {"b": {}, "five": {"sigma": 5}})


@pytest.fixture(scope="module")
def messages():
    return []


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("ablated") / "out"


@pytest.fixture(scope="module")
def found(out, messages):
    plan = AblationPlan(base(), [SIGMA, TURNED], 2, out)
    return run_ablation(plan, runs(RunListener(messages.append)))


@pytest.mark.parametrize("name", studies.read_studies())
@pytest.mark.parametrize("preset", PRESETS)
def test_every_study_has_valid_arms(name, preset):
    study = studies.read_studies()[name]
    laid = studies.study_arms(study, Config.of(preset))
    assert laid.base in laid.arms
    assert len(laid.arms) > 1
    assert study.title
    assert study.question


@pytest.mark.rules("experiments-R18")
def test_the_base_is_the_arm_with_the_default_settings_or_those_of_the_command():
    for study in studies.read_studies().values():
        laid = studies.study_arms(study, Config.of())
        assert laid.base.label == study.base, study.name
        elsewhere = {"model", "backend", *study.settings}  # of another family, or the reference
        assert set(laid.base.settings) <= elsewhere, study.name
    assert studies.study_arms(SIGMA, base(sigma=5.0)).base.label == "5"
    assert studies.study_arms(SIGMA, base(sigma=0.3)).base.label == "0.1"


@pytest.mark.rules("experiments-R17")
def test_arms_with_equal_settings_share_a_folder():
    first, other = (studies.study_arms(study, base()) for study in (SIGMA, TURNED))
    assert [arm.folder for arm in first.arms] == ["base", "sigma=5"]
    assert [arm.folder for arm in other.arms] == ["base", "sigma=5"]


@pytest.mark.rules("experiments-R17")
@pytest.mark.slow
def test_equal_settings_are_trained_once(out, found, messages):
    assert sorted(path.name for path in out.iterdir()) == ["base", "sigma=5"]
    assert len(messages) == 4, "two arms of two seeds"
    assert messages[0] == "run 1 of 4: as given, seed 0"
    first, other = (study["arms"][1] for study in found["studies"])
    assert {**first, "label": ""} == {**other, "label": ""}


@pytest.mark.rules("experiments-R9", "experiments-R10")
@pytest.mark.slow
def test_every_arm_has_an_effect_a_cost_and_a_verdict(found):
    check_json(found, AblationResult)
    for study in found["studies"]:
        first, second = study["arms"]
        assert (first["verdict"], first["against"]) == ("base", None)
        assert second["verdict"] in ("better", "worse", "mixed", "no difference shown")
        for metric in ("hit_rate@10", "hit_rate@50"):
            numbers = second["against"][metric]
            assert numbers["low"] <= numbers["difference"] <= numbers["high"]
            assert numbers["p"] <= numbers["p_holm"] <= 2 * numbers["p"]
        assert [step for step, _ in second["curve"]] == [3, 6, 7]
    assert all(seconds > 0 for seconds in found["cost"]["arms"].values())
    assert set(found["cost"]["arms"]) == {"base", "sigma=5"}


@pytest.mark.rules("experiments-R21")
@pytest.mark.slow
def test_only_the_cost_depends_on_the_machine(tmp_path, found):
    again = run_ablation(AblationPlan(base(), [SIGMA, TURNED], 2, tmp_path), runs())
    assert {**again, "cost": 0} == {**found, "cost": 0}


def test_studies_are_selected_by_name():
    selected = studies.select_studies(["power", "sigma", "power"])
    assert [study.name for study in selected] == ["power", "sigma"]
    assert studies.select_studies(["all"]) == list(studies.read_studies().values())


def test_an_invalid_study_is_named():
    with pytest.raises(ConfigError, match="study x: expected name, title"):
        studies.parse_studies({"x": {"title": "t"}})
    study = {"title": "t", "question": "q", "base": "c", "arms": {"a": {}}}
    with pytest.raises(ConfigError, match="x: base: expected a"):
        studies.parse_studies({"x": study})
    twice = SIGMA._replace(arms={"0.1": {}, "also": {"sigma": 0.1}})
    with pytest.raises(ConfigError, match="study sigma: expected arms that differ"):
        studies.study_arms(twice, base())


@pytest.mark.rules("experiments-R19")
def test_an_ablation_without_results_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mindref.training.loop.step_learning_rate", lambda config, n: 1e30 if n > 2 else 0.01
    )
    with pytest.raises(RunError, match="expected an arm with a result, got none: all diverged"):
        run_ablation(AblationPlan(base(backend="numpy"), [SIGMA], 1, tmp_path), runs())
    assert room.arm_verdict(*studies.study_arms(SIGMA, base()).arms[::-1], None) == "no result"
