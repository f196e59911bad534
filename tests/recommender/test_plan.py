"""The plan of a training: the default preset, and steps and patience from the log."""

from types import SimpleNamespace

import pytest

from mindref import MIND, Recommender
from mindref.config import Config
from mindref.errors import ConfigError
from mindref.recommender.training.plan import fit_to_log, plan_fit, plan_training
from mindref.settings import MAX_STEPS
from tests.runs import trainer


def plan(preset=None, protocol=None, **changes):
    return plan_training(preset, changes, None, {}, protocol=protocol, exclude_seen=None)


def log_of(interactions, items=1000):
    split = SimpleNamespace(train=SimpleNamespace(values=range(interactions)))
    return SimpleNamespace(split=split, task=SimpleNamespace(sizes=SimpleNamespace(items=items)))


@pytest.mark.rules("model-R47")
def test_the_default_is_the_recommended_preset():
    assert plan() == plan("recommended")
    assert plan().config == Config.of("recommended")
    assert plan(model="maxmf").config == Config.of("mind", {"model": "maxmf"})


@pytest.mark.rules("model-R48")
@pytest.mark.parametrize(
    ("interactions", "steps"),
    [(1, 1000), (40_000, 1000), (51_230, 1201), (10**5, 2344), (256_022, 6000), (10**7, 6000)],
)
def test_epochs_give_the_number_of_steps(interactions, steps):
    config = Config.of("recommended", {"dropout": 0.1})
    assert (config.epochs, config.batch) == (12, 512)
    found = fit_to_log(config, log_of(interactions))
    assert found.steps == steps
    assert 0 <= 12 * found.evaluate_every - steps < 12, "model-R50: rounded up"
    assert fit_to_log(found, log_of(10**7)) == found, "a run that is resumed"


@pytest.mark.rules("model-R46")
@pytest.mark.parametrize("steps", [9, 10**5])
def test_given_steps_replace_epochs(steps):
    config = Config.of("recommended", {"steps": steps})
    assert (config.epochs, config.steps) == (0, steps)
    assert fit_to_log(config, log_of(10**5)).steps == steps


@pytest.mark.rules("model-R48")
def test_given_epochs_replace_the_largest_number_of_steps():
    assert fit_to_log(Config.of("recommended", {"epochs": "40"}), log_of(10**5)).steps == 7812
    assert Config.of("recommended", {"epochs": 0}).steps == 6000


@pytest.mark.rules("model-R68")
@pytest.mark.parametrize(
    ("number", "computed"),
    [({"steps": 9}, {"epochs": 3}), ({"dropout": 0}, {"dropout_by_density": True})],
)
def test_a_number_and_the_setting_that_computes_it_exclude_each_other(number, computed):
    (name, value), (other, of_log) = *number.items(), *computed.items()
    message = f"{other}: expected no {name} with it, got {name} = {value}.*; give one of the two"
    start = SimpleNamespace(
        config=Config.of("recommended"), served=SimpleNamespace(facts={"protocol": "user"})
    )
    for rejected in (
        lambda: plan("recommended", **number, **computed),
        lambda: Recommender("recommended", **number, **computed),
        lambda: plan_fit("recommended", number | computed, None, start),
    ):
        with pytest.raises(ConfigError, match=message):
            rejected()
    config = Config.of("recommended", {name: value, other: type(of_log)(0)})
    assert (getattr(config, name), getattr(config, other)) == (value, 0)


@pytest.mark.rules("mind_plus-R24")
@pytest.mark.parametrize(
    ("per_item", "dropout"), [(1, 0.5), (50, 0.5), (100, 0.35), (200, 0.2), (5000, 0.2)]
)
def test_the_density_of_the_log_gives_the_dropout(per_item, dropout):
    log = log_of(round(1000 * per_item))
    found = fit_to_log(Config.of("recommended"), log)
    assert found.dropout == pytest.approx(dropout, abs=1e-5)
    assert fit_to_log(found, log_of(10**7)) == found, "a run that is resumed"
    given = fit_to_log(Config.of("recommended", {"dropout": 0.1}), log)
    assert (given.dropout, given.dropout_by_density) == (0.1, False)


@pytest.mark.rules("model-R49")
def test_without_validation_a_preset_has_no_patience():
    for name in (MIND, Recommender):
        with pytest.raises(ConfigError, match=rf"for example {name.__name__}\(steps=2000\)"):
            name(patience=0).fit(users=60, split="none")
    assert plan(protocol="none", steps=5).config.patience == 0
    assert plan_fit(None, {"steps": 5}, "none", None)[0].patience == 0
    assert plan(steps=5).config.patience == Config.of("recommended").patience > 0


@pytest.mark.rules("model-R50")
def test_the_run_and_the_plan_have_the_number_of_steps():
    made = trainer(epochs=50)
    assert (made.config.steps, made.config.epochs) == (1156, 0)
    described = made.plan.describe(made.prepared.loaded, "numpy")
    assert described["train"]["steps"] == 1156


@pytest.mark.rules("model-R48", "model-R49", "model-R51", "mind_plus-R24")
def test_with_a_start_given_settings_override_those_of_the_preset():
    start = SimpleNamespace(
        config=Config.of("recommended", {"steps": 30, "dropout": 0.3}),
        served=SimpleNamespace(facts={"protocol": "leave_last_out"}),
        check=lambda config: None,
    )

    def planned(protocol=None, **settings):
        return plan_fit("recommended", settings, protocol, start)[0]

    config = planned(dropout=0.1, steps=1500)
    assert (config.dropout, config.dropout_by_density) == (0.1, False)
    assert (config.steps, config.epochs) == (1500, 0)
    assert planned("none", steps=20).patience == 0
    with pytest.raises(ConfigError, match="expected a number of steps"):
        planned("none", patience=0)
    assert plan_fit(None, {"epochs": 5}, None, start)[0].steps == MAX_STEPS
