"""The estimator as scikit-learn's users expect it: parameters, clone, repr."""

import pytest

from mindref import MIND, Recommender, load
from mindref.cli.reports import model_lines, report_lines
from mindref.config import Config
from mindref.errors import ConfigError, RunError
from tests.runs import SMALL


def test_parameters_are_returned_as_passed():
    hidden = [8]
    model = MIND("paper", hidden=hidden, window="5")
    params = model.get_params()
    assert params == {"preset": "paper", "hidden": [8], "window": "5"}
    assert params["hidden"] is hidden
    assert model.get_params(deep=False) == params
    params["window"] = 3
    assert model.get_params()["window"] == "5"
    assert MIND().get_params() == {"preset": "mind"}


def test_set_params_changes_the_next_fit():
    model = MIND(width=8)
    assert model.set_params(width=16, power="inf") is model
    assert (model.config.width, model.config.power) == (16, float("inf"))
    assert model.set_params() is model
    assert model.get_params() == {"preset": "mind", "width": 16, "power": "inf"}


def test_settings_stay_when_the_preset_changes():
    model = Recommender("mind", window=7).set_params(preset="paper")
    assert model.config == Config.of("paper", {"window": 7})
    assert model.split == "paper"
    assert model.set_params(preset="recommended").config == Config.of("recommended", {"window": 7})
    assert model.split == "leave_last_out"
    with pytest.raises(ConfigError, match="contexts: expected 0, or --model mind_plus, got 2"):
        model.set_params(contexts=2).set_params(preset="mind")
    assert model.config == Config.of("recommended", {"window": 7, "contexts": 2})


@pytest.mark.rules("model-R67")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widht": 3}, r"got widht; did you mean width\?"),
        ({"width": 0}, "width: expected 1 to 4096, got 0"),
        ({"preset": "bset"}, "preset: expected mind or paper or recommended, got bset"),
        ({"preset": "recommended"}, "MIND: model: expected mind, got mind_plus; use mindref.Recom"),
        ({"model": "item_knn"}, "MIND: model: expected mind, got item_knn; use mindref.Recommend"),
    ],
)
def test_a_refused_parameter_changes_nothing(change, message):
    model = MIND(width=8)
    with pytest.raises(ValueError, match=message):
        model.set_params(window=3, **change)
    assert model.get_params() == {"preset": "mind", "width": 8}
    assert model.config == Config.of("mind", {"width": 8})
    with pytest.raises(ValueError, match=message):
        MIND(**change)


@pytest.mark.rules("model-R67")
@pytest.mark.parametrize(
    ("model", "text"),
    [
        (MIND(), "MIND()"),
        (MIND(width=8, window=10), "MIND(width=8)"),  # 10 is the default
        (MIND("paper", window=10, power="inf"), "MIND(preset='paper', window=10)"),
        (MIND(hidden=[8], steps="9"), "MIND(hidden=(8,), steps=9)"),
        (MIND(power=2), "MIND(power=2.0)"),
        (Recommender(), "Recommender()"),
        (Recommender(steps=6000), "Recommender(steps=6000)"),
        (Recommender("mind"), "Recommender(preset='mind')"),
        (Recommender(model="item_knn"), "Recommender(model='item_knn')"),
        (
            Recommender(width=8).set_params(model="youtube_dnn"),
            "Recommender(width=8, model='youtube_dnn')",
        ),
    ],
)
def test_repr_shows_what_differs_from_the_preset(model, text):
    assert repr(model) == text
    assert eval(text).config == model.config


@pytest.mark.rules("model-R66")
@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_a_loaded_model_has_the_parameters_of_its_run(preset, tmp_path):
    settings = {**SMALL, "backend": "numpy"}
    report = Recommender(preset, **settings).fit(users=60, run=tmp_path / "run").report
    hint = "to train MIND itself: mindref train --preset mind, or mindref.MIND() in Python"
    lines = {"paper": ("mind", []), "recommended": ("mind_plus", [f"model: mind_plus; {hint}"])}
    expected = lines[preset]
    assert (report["model"], model_lines(report)) == expected
    assert report_lines(report)[: len(expected[1])] == expected[1]
    model = load(tmp_path / "run")
    assert type(model) is Recommender
    assert model.get_params()["preset"] == preset
    fitted = model.served.model.config
    assert Recommender(**model.get_params()).config == fitted
    assert eval(repr(model)).config == fitted
    before = model.recommend(["article-0001"], n=3)
    model.set_params(width=4)
    assert model.recommend(["article-0001"], n=3) == before  # the trained model is unchanged


@pytest.mark.rules("model-R67", "model-R69")
def test_a_preset_replaces_the_settings_of_a_loaded_run(tmp_path):
    settings = {**SMALL, "backend": "numpy"}
    Recommender("recommended", **settings).fit(users=60, run=tmp_path / "run")
    with pytest.raises(RunError, match="a run of mind, got mind_plus; use mindref"):
        MIND.load(tmp_path / "run")
    model = Recommender.load(tmp_path / "run").set_params(window=7)
    for preset in ("mind", "recommended"):
        assert model.set_params(preset=preset).config == Config.of(preset, {"window": 7})
    del settings["steps"]
    model = Recommender.load(tmp_path / "run").set_params(epochs=3, dropout_by_density=True)
    assert model.config == Config.of("recommended", {**settings, "epochs": 3})


@pytest.mark.rules("model-R55")
def test_a_start_gives_its_settings_to_one_training_only():
    settings = {**SMALL, "backend": "numpy"}
    starts = [MIND(temperature=0.2, **settings).fit(users=60, exclude_seen=False)]
    starts.append(Recommender("recommended", **settings).fit(users=60))
    model = MIND(steps="2", backend="numpy")
    for start in starts:
        model.fit(users=60, start_from=start)
        expected = (start.config.model, start.config.temperature, 2)
        assert (model.config.model, model.config.temperature, model.config.steps) == expected
        assert model.config == model.served.model.config
        assert model.report["exclude_seen"] == start.report["exclude_seen"]
        assert model.get_params() == {"preset": "mind", "steps": "2", "backend": "numpy"}
        assert repr(model) == "MIND(steps=2, backend='numpy')"
    with pytest.raises(ConfigError, match="targets that are held out from its training"):
        model.fit(users=60, start_from=starts[0], split="paper")
    assert model.get_params() == {"preset": "mind", "steps": "2", "backend": "numpy"}
    model.fit(users=60)
    assert model.config == Config.of("mind", {"steps": 2, "backend": "numpy"})


@pytest.mark.needs("sklearn")
def test_scikit_learn_clones_the_estimator():
    from sklearn import base
    from sklearn.model_selection import ParameterGrid

    for model in (Recommender(hidden=[8]), MIND("paper", hidden=[8], window=3)):
        copy = base.clone(model)
        assert copy.get_params() == model.get_params()
        assert (type(copy), copy.config) == (type(model), model.config)
        assert copy is not model
    grid = ParameterGrid({"window": [2, 4]})
    windows = [base.clone(model).set_params(**params).config.window for params in grid]
    assert windows == [2, 4]
