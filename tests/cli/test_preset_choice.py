"""Choice of a preset: candidates, their comparison, and what a run stores of the choice."""

import json

import pytest

from mindref.backend import NumpyBackend
from mindref.config import Config
from mindref.errors import ConfigError
from mindref.recommender.training.preset_choice import (
    PresetChoice,
    choose_preset,
    find_candidates,
)
from mindref.recommender.training.trainer import Trainer
from mindref.training import optimiser
from mindref.training.distributed import ONE_PROCESS
from mindref.training.divergence import Diagnosis, Diverged
from mindref.training.loop import TrainingState, count_step
from tests.runs import call, options

BACKEND = NumpyBackend()
TINY = ("--steps", 24, "--batch", 16, "--width", 8, "--evaluate-every", 10, "--metric", "ndcg@10")


def candidates(several=False, **changes):
    return find_candidates(changes, BACKEND, several=several)


class FakeTrainer:
    """A trainer whose validation metric is given. A step takes 3 seconds, the validation 2."""

    set_used_time = Trainer.set_used_time
    ranks = ONE_PROCESS

    def __init__(self, config, value, clock):
        self.config, self.value, self.clock = config, value, clock
        self.state = TrainingState(None, optimiser.State(0, {}, {}), 0, -1.0, 0)

    def check_alike(self):
        pass

    def train(self, hooks):
        while self.state.moments.step < self.config.steps and not hooks.stop():
            self.state = count_step(self.state, 0.0)
            self.clock[0] += 3
            hooks.on_step(self.state.moments.step, 0.0)
        if self.value is None:
            raise Diverged(1, "nan", Diagnosis())

    def current_metric(self):
        self.clock[0] += 2
        return self.value


def choose(values, **changes):
    """Return the trainer, the choice and all trainers, with these values of the metric."""
    clock, trainers = [0.0], []

    def make(config, compared):
        configs = list(candidates(**changes).configs.values())
        assert compared == ([] if trainers else configs)  # the first estimates the memory of all
        trainers.append(FakeTrainer(config, values[len(trainers)], clock))
        return trainers[-1]

    return *choose_preset(candidates(**changes), make, clock=lambda: clock[0]), trainers


@pytest.mark.rules("model-R47")
@pytest.mark.parametrize(
    ("values", "preset"), [((0.1, 0.2), "sparse"), ((0.2, 0.1), "best"), ((0.1, 0.1), "best")]
)
def test_the_candidate_with_the_higher_value_is_chosen(values, preset):
    trainer, choice, trainers = choose(values)
    assert trainer.config == Config.of(preset)
    assert choice.preset == preset
    assert choice.values == dict(zip(("best", "sparse"), values, strict=True))
    assert [x.config.head for x in trainers] == ["layers", "none"]


@pytest.mark.rules("model-R48")
@pytest.mark.parametrize(("steps", "part"), [(6000, 1000), (25, 4), (5, 1), (1, 1)])
def test_candidates_are_compared_after_a_sixth_of_the_steps(steps, part):
    _, _, trainers = choose((0, 1), steps=steps, seed=3, width=16)
    assert [x.state.moments.step for x in trainers] == [part, part]
    assert all((x.config.steps, x.config.seed, x.config.width) == (steps, 3, 16) for x in trainers)


@pytest.mark.rules("model-R48")
def test_candidates_share_the_time_limit():
    trainer, _, trainers = choose((0, 1), time_limit="54s")
    # a first step that may compile, then three steps of three seconds
    assert [x.state.moments.step for x in trainers] == [4, 4]
    assert trainer.state.time.seconds == 2 * (4 * 3 + 2)
    assert trainer.config.time_limit == 54


@pytest.mark.rules("model-R49")
@pytest.mark.parametrize(
    ("several", "changes", "presets", "reason"),
    [
        (False, {}, ["best", "sparse"], ""),
        (False, {"interests": 8, "seed": 1}, ["best", "sparse"], ""),
        (False, {"power": 2}, ["mind"], "best cannot be used: power: expected no value with best"),
        (False, {"hidden": [8]}, ["best"], "sparse cannot be used: hidden: expected no value with"),
        (False, {"contexts": 2}, ["best"], "sparse cannot be used: head: expected layers or "),
        (True, {}, ["mind"], "best cannot be used: --model mind_plus: expected one process"),
    ],
)
def test_candidates_to_which_a_setting_does_not_apply_are_left_out(
    several, changes, presets, reason
):
    found = candidates(several, **changes)
    assert {name: Config.of(name, changes) for name in presets} == found.configs
    assert found.rejected.startswith(reason)
    assert bool(found.rejected) == bool(reason)
    if len(presets) == 1:
        trainer, choice = choose_preset(found, make=lambda config, _: config)
        assert trainer == found.configs[presets[0]]
        assert choice == PresetChoice(presets[0], found.rejected)


@pytest.mark.rules("model-R49")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"interests": 0}, "interests: expected 1 to 64, got 0"),
        ({"dropout": 2}, "dropout: expected 0 to 0.99, got 2.0"),
        ({"contexts": 2, "power": 2}, "power: expected no value with best, got 2.0"),
        ({"intrests": 4}, "configuration: expected a known setting, got intrests"),
    ],
)
def test_settings_that_no_preset_can_use_are_an_error(changes, error):
    with pytest.raises(ConfigError, match=error):
        candidates(**changes)


@pytest.mark.rules("model-R48")
def test_a_candidate_that_diverges_is_left_out():
    _, choice, trainers = choose((None, 0.1), steps=6)
    reason = "validation hit_rate@50: best diverged, sparse 0.1000 after 1 steps"
    assert choice == PresetChoice("sparse", reason, {"sparse": 0.1})
    assert len(trainers) == 2
    with pytest.raises(Diverged):
        choose((None, None))


@pytest.mark.rules("model-R47", "model-R48", "model-R50")
@pytest.mark.parametrize("every", [2, 10])
def test_the_run_of_a_chosen_preset(cli, shop, tmp_path, every):
    words = [*TINY, "--evaluate-every", every]
    result = cli.succeed("train", "--data", shop, "--out", tmp_path / "auto", *words)
    facts = json.loads((tmp_path / "auto" / "config.json").read_text())
    report = json.loads((tmp_path / "auto" / "report.json").read_text())
    choice = facts["preset_choice"]
    assert choice == report["preset_choice"]
    preset, values = choice["preset"], choice["values"]
    assert values[preset] == max(values.values())
    assert list(values) == ["best", "sparse"]
    first = f"validation ndcg@10: best {values['best']:.4f} after 4 steps, sparse "
    assert f"preset {preset}: {first}" in result.err
    assert "candidate best" in result.err
    named = ["train", "--data", shop, "--out", tmp_path / "named", "--preset", preset, *words]
    assert "preset " not in cli.succeed(*named).err
    assert "preset_choice" not in json.loads((tmp_path / "named" / "config.json").read_text())
    for name in ("model.safetensors", "optimiser.safetensors", "metrics.jsonl"):
        contents = [(tmp_path / run / name).read_bytes() for run in ("auto", "named")]
        assert contents[0] == contents[1], name
    (tmp_path / "auto" / "report.json").unlink()
    again = cli.json("train", "--resume", tmp_path / "auto")
    assert again["preset_choice"] == choice


@pytest.mark.rules("model-R48")
def test_a_training_that_was_chosen_is_saved_before_it_continues(cli, shop, tmp_path, monkeypatch):
    monkeypatch.setattr("mindref.cli.train.run_training", lambda trainer, *arguments: 0)
    run = tmp_path / "auto"
    words = [*TINY, "--evaluate-every", 3]
    cli.succeed("train", "--data", shop, "--out", run, *words)
    monkeypatch.undo()
    assert json.loads((run / "state.json").read_text())["step"] == 4
    assert (run / "model.safetensors").exists()
    resumed = cli.json("train", "--resume", run)
    whole = cli.json("train", "--data", shop, "--out", tmp_path / "whole", *words)
    assert {**resumed, "run": ""} == {**whole, "run": ""}


@pytest.mark.rules("model-R47", "model-R50")
def test_the_preset_auto_in_a_file_and_quietly(cli, shop, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('preset = "auto"\npower = 2\nsteps = 1\n')
    out = tmp_path / "run"
    result = cli.succeed("train", "--data", shop, "--out", out, "--config", file, "--quiet")
    assert "preset" not in result.err
    choice = json.loads((out / "config.json").read_text())["preset_choice"]
    assert choice["preset"] == "mind"
    assert choice["values"] == {}


@pytest.mark.rules("faults-R4")
def test_the_run_directory_is_locked_during_the_choice(cli, shop, tmp_path, monkeypatch):
    run, messages = tmp_path / "run", []

    def train_again(self, hooks=None):
        monkeypatch.undo()
        again = call("train", "--data", shop, "--out", run, *options(), cwd=tmp_path)
        messages.append(again.stderr)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train", train_again)
    cli("train", "--data", shop, "--out", run, *TINY)
    assert f"{run}: expected no other process that writes there" in messages[0]
