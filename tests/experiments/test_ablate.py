"""The studies, and a complete ablation."""

import pytest

from mindref.config import Config
from mindref.errors import ConfigError, RunError
from mindref.experiments import ablate, studies
from mindref.experiments.ablate import AblationPlan, run_ablation
from mindref.experiments.results import AblationResult
from mindref.experiments.runs import RunListener
from mindref.presets import PRESETS
from mindref.run.stored_json import check_json
from tests.experiments.tiny_experiment import base, runs

SIGMA = studies.Study("sigma", "Sigma", "?", "0.1", {"0.1": {"sigma": 0.1}, "5": {"sigma": 5.0}})
TURNED = studies.Study("turned", "The same", "?", "b", {"b": {}, "five": {"sigma": 5}})


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


@pytest.mark.rules("experiments-R9", "experiments-R10", "experiments-R17", "experiments-R20")
@pytest.mark.slow
def test_equal_settings_are_trained_once_and_every_arm_has_an_effect_and_a_verdict(tmp_path):
    messages = []
    plan = AblationPlan(base(), [SIGMA, TURNED], 2, tmp_path / "first")
    result = run_ablation(plan, runs(RunListener(messages.append)))
    check_json(result, AblationResult)
    assert sorted(path.name for path in plan.out.iterdir()) == ["base", "sigma=5"]
    assert len(messages) == 4, "two arms of two seeds"
    assert messages[0] == "run 1 of 4: as given, seed 0"
    first, other = (study["arms"][1] for study in result["studies"])
    assert {**first, "label": ""} == {**other, "label": ""}
    for study in result["studies"]:
        assert (study["arms"][0]["verdict"], study["arms"][0]["against"]) == ("base", None)
    assert first["verdict"] in ("better", "worse", "mixed", "no difference shown")
    for metric in ("hit_rate@10", "hit_rate@50"):
        numbers = first["against"][metric]
        assert numbers["low"] <= numbers["difference"] <= numbers["high"]
        assert numbers["p"] <= numbers["p_holm"] <= 2 * numbers["p"]
    again = run_ablation(plan._replace(out=tmp_path / "second"), runs())
    assert again == result


@pytest.mark.rules("experiments-R17", "experiments-R19")
def test_arms_with_equal_settings_share_a_folder_and_without_results_there_is_an_error(
    tmp_path, monkeypatch
):
    for study in (SIGMA, TURNED):
        arms = studies.study_arms(study, base()).arms
        assert [arm.folder for arm in arms] == ["base", "sigma=5"]
    monkeypatch.setattr(
        "mindref.training.loop.step_learning_rate", lambda config, n: 1e30 if n > 2 else 0.01
    )
    with pytest.raises(RunError, match="expected an arm with a result, got none: all diverged"):
        run_ablation(AblationPlan(base(backend="numpy"), [SIGMA], 1, tmp_path), runs())
    assert ablate.arm_verdict(*studies.study_arms(SIGMA, base()).arms[::-1], None) == "no result"


def test_studies_are_selected_by_name():
    selected = studies.select_studies(["power", "sigma", "power"])
    assert [study.name for study in selected] == ["power", "sigma"]
    assert studies.select_studies(["all"]) == list(studies.read_studies().values())


def test_a_study_with_two_equal_arms_is_an_error():
    twice = SIGMA._replace(arms={"0.1": {}, "also": {"sigma": 0.1}})
    with pytest.raises(ConfigError, match="study sigma: expected arms that differ"):
        studies.study_arms(twice, base())
