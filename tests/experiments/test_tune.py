"""mindref tune: trials, selection, the printed command, resuming, errors."""

import json
import math
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from mindref.config import Config
from mindref.errors import ConfigError, RunError
from mindref.experiments import tables, tune
from mindref.experiments.results import TuningResult
from mindref.experiments.runs import ExperimentRuns, RunProgress
from mindref.presets import PRESETS, preset_or_default
from mindref.run import checkpoint, files, report
from mindref.run.stored_json import check_json
from tests.experiments.tiny_experiment import runs
from tests.runs import SMALL, content

COMMON = {name: SMALL[name] for name in ("steps", "evaluate_every", "batch", "negatives")}


def planned(out, preset="mind", trials=3, **changes):
    return tune.plan_tuning(preset, {**SMALL, **changes}, trials, out)


def with_values(monkeypatch, values):
    """Let the trials have these validation values, without training."""

    def train_run(self, run):
        value = values[len(self.ended)]
        self.ended[run.directory] = RunProgress(True, "" if value else "NaN", value, 3)
        return self.ended[run.directory]

    evaluated = []
    monkeypatch.setattr(ExperimentRuns, "train_run", train_run)
    monkeypatch.setattr(ExperimentRuns, "evaluate_run", lambda self, run: evaluated.append(run))
    monkeypatch.setattr(tune, "test_metrics", lambda run: {})
    return evaluated


@pytest.mark.rules("experiments-R23")
def test_trials_of_a_preset_keep_its_settings(tmp_path):
    model = planned(tmp_path, "paper", width=4).model
    assert model.trials[0] == {}
    assert model.config(0) == Config.of("paper", {**SMALL, "width": 4})
    tuned = {"interests", "learning_rate", "window"}
    assert [set(trial) for trial in model.trials[1:]] == [tuned] * 2
    for number, trial in enumerate(model.trials):
        assert model.config(number) == Config.of("paper", {**SMALL, "width": 4, **trial})
    fixed = planned(tmp_path, "mind", 9, window=4, interests=2).model
    assert [set(trial) for trial in fixed.trials[1:]] == [
        {"learning_rate"}
    ] * 3  # of 4 values; one is the default
    assert {fixed.config(n).window for n in range(len(fixed.trials))} == {4}


@pytest.mark.rules("experiments-R23")
def test_a_model_has_its_own_grid_and_start(tmp_path):
    changes = {**COMMON, "model": "maxmf"}
    preset, model, _ = tune.plan_tuning(None, changes, 3, tmp_path)
    assert (model.arm.label, preset) == ("maxmf", "mind")
    assert model.config(0).sampler == "uniform"
    assert model.config(0).batch == COMMON["batch"]
    assert set(model.trials[1]) == {"learning_rate", "pair_loss", "width"}


@pytest.mark.rules("experiments-R23")
def test_without_a_preset_the_recommended_one_is_tuned(tmp_path):
    preset, model, _ = tune.plan_tuning(None, COMMON, 4, tmp_path)
    assert (preset, len(model.trials)) == ("recommended", 4)
    assert model.config(0) == Config.of("recommended", COMMON)


@pytest.mark.rules("experiments-R24")
def test_the_best_trial_is_selected(tmp_path, monkeypatch):
    plan = tune.plan_tuning(None, COMMON, 4, tmp_path)
    evaluated = with_values(monkeypatch, [0.1, None, 0.3, 0.3])
    result = tune.run_tuning(plan, runs(), [])
    assert result["best"] == 2
    assert [str(run.directory) for run in evaluated] == [result["trials"][2]["run"]]
    assert result["trials"][1]["diverged"] == "NaN"
    table = tables.trials_table(result)
    assert [row[0] for row in table.rows] == ["recommended"] * 4
    assert table.rows[-1][3] == "diverged"
    assert all(row[4].isdigit() for row in table.rows)
    trials = [{**row, "model": "item_knn"} for row in result["trials"]]
    fitted = tables.trials_table({**result, "trials": trials})
    assert {row[4] for row in fitted.rows} == {"-"}, "a model without steps has no best step"


def test_a_plan_without_a_tunable_setting_and_a_table_without_a_result_are_errors(
    tmp_path, monkeypatch
):
    with pytest.raises(ConfigError, match="a setting that can be tuned, got none for mind"):
        planned(tmp_path, learning_rate=0.1, window=3, interests=2)
    with pytest.raises(ConfigError, match="none for popularity"):
        tune.plan_tuning(None, {"model": "popularity"}, 2, tmp_path)
    with_values(monkeypatch, [None] * 3)
    with pytest.raises(RunError, match="a trial with a result, got none: all diverged"):
        tune.run_tuning(planned(tmp_path), runs(), [])


@pytest.mark.rules("experiments-R14", "experiments-R23")
def test_trials_with_numbers_from_the_log_differ_and_are_resumed(tmp_path):
    changes = {**SMALL, "steps": 4}
    plan = tune.plan_tuning("recommended", changes, 3, tmp_path)
    dropouts = [0.2, 0.5]
    trials = [{}, *({"dropout": x} for x in dropouts)]
    plan = plan._replace(model=plan.model._replace(trials=trials))
    first, again = (tune.run_tuning(plan, runs(), []) for _ in range(2))
    assert first == again
    stored = [checkpoint.load_config(Path(row["run"]))[0].dropout for row in first["trials"]]
    assert stored[1:] == dropouts


@pytest.mark.rules("experiments-R25")
@pytest.mark.parametrize("preset", PRESETS)
def test_the_options_of_settings_give_the_settings(preset):
    from mindref.cli import settings
    from mindref.cli.train import train_command

    # 10 and 3000 are defaults, which other presets change
    changes = {"window": 10, "steps": 3000, "hidden": (), "last_relu": True, "logits": "fixed"}
    changes |= {"power": 2.5, "adam": "dense"}
    if PRESETS[preset].get("head") != "none":
        changes["hidden"] = (16, 8)
    adapted = {"epochs": 3, "dropout": 0.1, "model": "mind_plus"}
    by_density = {"dropout_by_density": True, "model": "mind_plus"}
    given = (adapted, {**by_density, "steps": 6000}, by_density, changes)
    for config in [Config.of(preset, values) for values in given]:
        words = tune.setting_words(preset, config)
        # click stores the help option of a command at its first use
        names = {"help_option_names": ["-h", "--help"]}
        options = train_command.make_context("train", words, **names).params
        read = settings.read_changes(options.pop("preset"), options.pop("config_file"), options)
        assert Config.of(preset_or_default(*read), read[1]) == config
    assert tune.setting_words(preset, config)[:2] == ["--preset", preset]
    item_knn = Config.of("mind", {"model": "item_knn"})
    assert tune.setting_words("mind", item_knn) == ["--model=item_knn"]


@pytest.mark.rules("experiments-R25")
def test_the_printed_command_trains_the_same_bytes(tmp_path, monkeypatch):
    from mindref.cli import main

    monkeypatch.chdir(tmp_path)
    # 30 users, and columns of unusual names
    lines = [f"u{u},i{(u * 7 + n * n) % 25}" for u in range(30) for n in range(8)]
    log = "\n".join(["who,what", *lines, lines[-1]]) + "\n"
    Path("log.csv").write_text(log, encoding="utf-8")
    words = [f"--{name.replace('_', '-')}={x}" for name, x in COMMON.items()]
    words += ["--width=8", "--hidden=8", "--metric=hit_rate@10", "--include-seen", "--quiet"]
    words += ["--user=who", "--item", "what", "--min-item-users=2", "--header"]
    words += ["--keep-duplicates", "--preset=mind", "--trials=3", "--out=t"]
    with pytest.raises(SystemExit) as ended:
        main(["tune", "log.csv", *words])
    assert ended.value.code == 0
    result = json.loads(Path("t", "tune.json").read_bytes())
    check_json(result, TuningResult)
    command = shlex.split(result["train"])
    assert command[:4] == ["mindref", "train", "--data", "log.csv"]
    assert {"--include-seen", "--user=who", "--header", "--keep-duplicates"} <= set(command)
    with pytest.raises(SystemExit) as ended:
        main([*command[1:], "--out", "again", "--quiet"])
    assert ended.value.code == 0
    best = tmp_path / result["trials"][result["best"]]["run"]
    assert content(tmp_path / "again") == content(best)
    assert [*(tmp_path / "t").rglob("report.json")] == [best / "report.json"]


@pytest.mark.rules("security-R1")
@pytest.mark.parametrize(
    "metrics",
    [None, {}, {"test": None}, {"test": {"model": {}}}, {"test": {"model": {"a": 1}}},
     *({"test": {"model": {"a": {"value": x, "low": 0, "high": 1}}}}
       for x in ("x", -1, math.nan, math.inf, 1 << 70, True))],
)  # fmt: skip
def test_a_report_without_test_metrics_is_an_error(tmp_path, monkeypatch, metrics):
    planned = SimpleNamespace(directory=tmp_path)
    monkeypatch.setattr(tune.checkpoint, "load_config", lambda _: ({}, {}))
    monkeypatch.setattr(tune.checkpoint, "run_identity", lambda *_: "x")
    content = files.sealed({"metrics": metrics, "identity": "x"})
    (tmp_path / report.NAME).write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"report\.json: expected test metrics with intervals, got"):
        tune.test_metrics(planned)
    rows = {"a": {"value": 0.5, "low": None, "high": None}}
    report.save_report(tmp_path, {"metrics": {"test": {"model": rows}}}, "x")
    assert tune.test_metrics(planned) == rows
