"""The studies as data, and a whole ablation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mindref.config import Config
from mindref.errors import ConfigError, RunError
from mindref.experiments import ablate as room
from mindref.experiments import results, studies
from mindref.experiments.ablate import Plan, ablate
from mindref.experiments.runs import Listener
from mindref.presets import PRESETS
from tests.experiments.small import base, runs

SIGMA = studies.Study("sigma", "Sigma", "?", "0.1", {"0.1": {"sigma": 0.1}, "5": {"sigma": 5.0}})
TURNED = studies.Study("turned", "The same", "?", "b", {"b": {}, "five": {"sigma": 5}}, True)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablated") / "out"


@pytest.fixture(scope="module")
def found(out: Path, told: list[str]) -> dict[str, Any]:
    return ablate(Plan(base(), [SIGMA, TURNED], 2, out), runs(Listener(told.append)))


@pytest.mark.parametrize("name", studies.table())
@pytest.mark.parametrize("preset", PRESETS)
def test_every_study_can_be_laid_out(name: str, preset: str) -> None:
    study = studies.table()[name]
    laid = studies.lay_out(study, Config.of(preset))
    assert laid.base in laid.arms
    assert len(laid.arms) > 1
    assert study.title
    assert study.question


@pytest.mark.rules("experiments-R18")
def test_the_base_of_every_study_is_what_the_default_has() -> None:
    for study in studies.table().values():
        laid = studies.lay_out(study, Config.of())
        assert laid.base.label == study.base, study.name
        elsewhere = {"model", "backend", *study.settings}  # of another family, or the reference
        assert set(laid.base.settings) <= elsewhere, study.name


@pytest.mark.rules("experiments-R18")
def test_the_base_is_what_the_command_has_else_what_the_study_says() -> None:
    assert studies.lay_out(SIGMA, base(sigma=5.0)).base.label == "5"
    assert studies.lay_out(SIGMA, base(sigma=0.3)).base.label == "0.1"


@pytest.mark.rules("experiments-R17")
def test_equal_settings_have_one_folder_whatever_they_are_called() -> None:
    one, other = (studies.lay_out(study, base()) for study in (SIGMA, TURNED))
    assert [arm.folder for arm in one.arms] == ["base", "sigma=5"]
    assert [arm.folder for arm in other.arms] == ["base", "sigma=5"]


@pytest.mark.rules("experiments-R17")
@pytest.mark.slow
def test_equal_settings_are_trained_once(out: Path, found: dict[str, Any], told: list[str]) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["base", "sigma=5"]
    assert len(told) == 4, "two arms of two seeds"
    assert told[0] == "run 1 of 4: as given, seed 0"
    one, other = (study["arms"][1] for study in found["studies"])
    assert {**one, "label": ""} == {**other, "label": ""}


def test_a_result_has_the_form_that_is_published(found: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(results.schema()).validate(found)


@pytest.mark.rules("experiments-R9", "experiments-R10")
def test_every_arm_has_an_effect_a_cost_and_a_verdict(found: dict[str, Any]) -> None:
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
def test_all_but_the_cost_is_the_same_everywhere(tmp_path: Path, found: dict[str, Any]) -> None:
    again = ablate(Plan(base(), [SIGMA, TURNED], 2, tmp_path), runs())
    assert {**again, "cost": 0} == {**found, "cost": 0}


def test_names_of_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [study.name for study in studies.chosen(["power", "sigma", "power"])] == [
        "power",
        "sigma",
    ]
    assert studies.chosen(["all"]) == list(studies.table().values())
    for names, got in ((["sigmoid"], "'sigmoid'"), ([], "none")):
        with pytest.raises(ConfigError, match=rf"--studies: expected .*{got}"):
            studies.chosen(names)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"title": "t"}, "study x: expected name, title"),
        ({"title": "t", "question": "q", "base": "c", "arms": {"a": {}}}, "x: base: expected a"),
    ],
)
def test_a_study_that_is_none_is_named(content: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        studies.read({"x": content})


def test_two_arms_that_are_one_are_refused() -> None:
    twice = SIGMA._replace(arms={"0.1": {}, "also": {"sigma": 0.1}})
    with pytest.raises(ConfigError, match="study sigma: expected arms that differ"):
        studies.lay_out(twice, base())


@pytest.mark.rules("experiments-R19")
def test_an_ablation_in_which_all_diverge_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.training.loop.rate", lambda config, n: 1e30 if n > 2 else 0.01)
    with pytest.raises(RunError, match="expected an arm with a result, got none: all diverged"):
        ablate(Plan(base(), [SIGMA], 1, tmp_path), runs())
    assert room.verdict_of(*studies.lay_out(SIGMA, base()).arms[::-1], None) == "no result"
