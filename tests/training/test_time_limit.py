"""The time limit of a training, with a clock that the test advances."""

import itertools
import json

import pytest

from mindref import MIND
from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models.din_config import DinConfig
from mindref.models.registry import RECALL_FAMILIES, uses_setting
from mindref.recommender.training import trainer as trainer_module
from mindref.recommender.training.trainer import resume_run
from mindref.run.checkpoint import load_state
from mindref.run.metadata import check_header
from mindref.settings import MAX_STEPS
from mindref.training.engine import make_engine
from mindref.training.loop import Hooks, train_steps
from mindref.training.time_budget import TimeUsed
from tests.runs import content, stop_after, trainer

RATE = 0.01
STEPPED = [name for name in RECALL_FAMILIES if uses_setting(name, "time_limit")]


class TimedTraining:
    """A training whose steps, validations and checkpoints take given seconds."""

    def __init__(self, monkeypatch, *, first=1.0, step=1.0, validation=0.0, checkpoint=0.0):
        self.now, self.rates = 0.0, []
        self.seconds = itertools.chain([first], itertools.repeat(step))
        self.validation, self.checkpoint = validation, checkpoint
        monkeypatch.setattr(trainer_module, "make_engine", self.timed_engine)

    def timed_engine(self, *arguments):
        engine = make_engine(*arguments)
        take_step = engine.step

        def step(batch, learning_rate):
            self.now += next(self.seconds)
            self.rates.append(learning_rate)
            return take_step(batch, learning_rate)

        engine.step = step
        return engine

    def validate(self, params):
        self.now += self.validation
        return 0.5

    def train(self, made, stop=None):
        def on_validation(validation):
            self.now += self.checkpoint

        if made.validate is not None:
            made.validate = self.validate
        hooks = (stop or Hooks())._replace(on_validation=on_validation, clock=lambda: self.now)
        return made.train(hooks)


def limited(run=None, limit=60, **changes):
    settings = {"backend": "numpy", "learning_rate": RATE, "steps": MAX_STEPS, "evaluate_every": 20}
    return trainer(run, time_limit=limit, **{**settings, **changes})


COSTS = [
    {"validation": 5.0, "checkpoint": 1.0},
    {"first": 20.0},
    {"step": 7.0},
    {"step": 7.0, "validation": 9.0},
    {"step": 0.25, "validation": 2.5, "checkpoint": 0.5},
]


@pytest.mark.rules("optimiser-R18", "optimiser-R19")
@pytest.mark.parametrize("costs", COSTS, ids=str)
def test_a_training_ends_within_the_limit_and_the_rate_never_rises(monkeypatch, costs):
    timed, made = TimedTraining(monkeypatch, **costs), limited()
    outcome = timed.train(made)
    assert outcome.finished
    assert made.ending()["ended_by"] == "time_limit"
    assert made.ending()["seconds"] == timed.now <= 60
    assert timed.now >= 60 - 2 * costs.get("step", 1.0), "the time is used"
    assert outcome.validations[-1].step == made.state.moments.step == len(timed.rates)
    assert timed.rates == sorted(timed.rates, reverse=True)
    assert timed.rates[0] == RATE


@pytest.mark.rules("optimiser-R18")
def test_a_limit_that_the_first_step_exceeds_still_gives_a_model(monkeypatch):
    timed = TimedTraining(monkeypatch, first=100.0)
    outcome = timed.train(limited())
    assert [(x.step, x.is_best) for x in outcome.validations] == [(1, True)]


@pytest.mark.rules("optimiser-R18", "optimiser-R19")
def test_the_steps_are_limited_only_if_they_are_set(monkeypatch):
    assert Config.of("recommended", {"time_limit": "2m"}).steps == MAX_STEPS
    assert Config.of("recommended", {"time_limit": 0}).steps == 6000
    assert DinConfig.of({"time_limit": 5}).steps == MAX_STEPS
    assert Config.of("mind", {"time_limit": 60, "steps": 9}).steps == 9
    timed, made = TimedTraining(monkeypatch), limited(steps=4)
    timed.train(made)
    assert made.ending()["ended_by"] == "steps"
    assert timed.rates == pytest.approx([RATE * x for x in (1, 3 / 4, 2 / 4, 1 / 4)])


@pytest.mark.rules("optimiser-R19")
def test_the_rate_decreases_linearly_to_zero_at_the_end_of_the_time(monkeypatch):
    timed = TimedTraining(monkeypatch, first=20.0)
    timed.train(limited(limit=60))
    fractions = [1, 1, *(1 - step / 39 for step in range(1, 39))]  # 60 - 20 - 1 seconds of steps
    assert timed.rates == pytest.approx([RATE * x for x in fractions], rel=1e-6)


@pytest.mark.rules("optimiser-R19")
def test_all_processes_read_the_clock_of_the_first(monkeypatch):
    made, clocks = limited(), []

    def read_clock(task, state, config, engine, hooks, **named):
        clocks.append(hooks.clock())
        return state

    monkeypatch.setattr(trainer_module, "train_steps", read_clock)
    made.ranks = made.ranks._replace(world=2, exchange=lambda word: ["11.5", word])
    monkeypatch.setattr(type(made), "check_same", lambda self, state: None)
    made.take_steps(Hooks(clock=lambda: 99.0))
    assert clocks == [11.5]


@pytest.mark.rules("optimiser-R20")
def test_the_first_validation_comes_at_the_latest_after_a_tenth_of_the_limit(tmp_path, monkeypatch):
    timed, made = TimedTraining(monkeypatch, validation=2.0), limited(tmp_path / "run")
    outcome = timed.train(made, stop_after(9))
    assert [validation.step for validation in outcome.validations] == [6]
    assert load_state(tmp_path / "run")[0].time.validation == pytest.approx(2)


@pytest.mark.rules("optimiser-R20")
def test_a_validation_shortly_before_the_last_one_is_left_out(monkeypatch):
    timed = TimedTraining(monkeypatch, validation=10.0)
    outcome = timed.train(limited(limit=60, evaluate_every=10))
    assert [validation.step for validation in outcome.validations] == [6, 10, 29]
    assert timed.rates[-1] < 0.1 * RATE


@pytest.mark.rules("optimiser-R21")
@pytest.mark.parametrize("step", [3, 12, 25])
def test_a_resumed_training_uses_only_the_remaining_time(tmp_path, monkeypatch, step):
    timed, run = TimedTraining(monkeypatch, validation=2.0), tmp_path / "run"
    assert not timed.train(limited(run), stop_after(step)).finished
    before, resumed = timed.now, resume_run(run)
    assert resumed.state.time.seconds == pytest.approx(before)
    assert timed.train(resumed).finished
    assert 56 < timed.now <= 60
    assert timed.rates == sorted(timed.rates, reverse=True)
    assert timed.rates[step + 1] < RATE
    files = content(run)
    assert timed.train(resume_run(run)).finished
    assert content(run) == files, "a training that has ended does not continue"


@pytest.mark.rules("optimiser-R21")
def test_the_time_of_the_last_checkpoint_is_saved(tmp_path, monkeypatch):
    timed, run = TimedTraining(monkeypatch, checkpoint=57.0), tmp_path / "run"
    assert timed.train(limited(run)).finished, "the checkpoint used up the time"
    assert load_state(run)[0].time.seconds == pytest.approx(timed.now)
    assert timed.train(resume_run(run)).finished
    assert timed.now == pytest.approx(load_state(run)[0].time.seconds)


@pytest.mark.rules("optimiser-R22")
def test_config_and_report_state_that_the_result_depends_on_the_machine(tmp_path, monkeypatch):
    timed, made = TimedTraining(monkeypatch), limited(tmp_path / "limited")
    timed.train(made)
    report, config = made.evaluate(), json.loads((made.run / "config.json").read_text())
    assert report["reproducible"] is config["reproducible"] is False
    assert config["settings"]["time_limit"] == 60.0
    assert (report["steps"], report["seconds"]) == (len(timed.rates), timed.now)
    other = trainer(tmp_path / "other", backend="numpy").train()
    report, config = other.evaluate(), json.loads((other.run / "config.json").read_text())
    assert not {"reproducible", "seconds"} & {*report, *config}
    assert (report["steps"], report["ended_by"]) == (7, "steps")


@pytest.mark.rules("optimiser-R18")
@pytest.mark.parametrize("model", STEPPED)
def test_every_family_with_steps_has_the_limit(monkeypatch, model):
    made = limited(limit=12, model=model, batch=8)
    TimedTraining(monkeypatch).train(made)
    assert made.state.moments.step == 11


@pytest.mark.rules("model-R46")
@pytest.mark.parametrize(
    ("time", "seconds"),
    [("120s", 120), ("2m", 120), ("1h", 3600), ("1h30m", 5400), ("1.5m", 90), ("45", 45), (7, 7)],
)
def test_a_time_has_units(time, seconds):
    assert MIND(time_limit=time).config.time_limit == seconds
    assert DinConfig.of({"time_limit": time}).time_limit == seconds


@pytest.mark.rules("model-R46")
@pytest.mark.parametrize("time", ["", "2 minutes", "m", "30m1h", "1d", True, None, "h2"])
def test_another_text_is_no_time(time):
    with pytest.raises(ConfigError, match="time_limit: expected a time such as 120s, 2m or 1h30m"):
        MIND(time_limit=time)


@pytest.mark.parametrize("time", [["x", 0, 0], [-1, 0, 0], [float("nan"), 0, 0], "abc"])
def test_a_damaged_time_in_a_state_is_an_error(time):
    check_header({"time": [1.0, 0.5, 1]}, None)
    with pytest.raises(ValueError, match=r"time(\[0\])?: expected "):
        check_header({"time": time}, None)


def test_without_a_limit_the_clock_is_not_read():
    made = trainer(backend="numpy")
    engine = make_engine(
        made.backend, made.state.params, made.state.moments, made.task.catalogue, made.config
    )
    hooks = Hooks(clock=pytest.fail)
    state = train_steps(made.task, made.state, made.config, engine, hooks, validate=None)
    assert state.time == TimeUsed()
