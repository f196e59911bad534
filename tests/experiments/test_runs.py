"""Runs: trained, found, resumed, rejected; stored hits."""

import json
import math
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import RunError
from mindref.evaluation import metrics
from mindref.experiments import first_hits
from mindref.experiments import runs as experiment_runs
from mindref.experiments.arms import PlannedRun
from mindref.experiments.runs import (
    PROGRESS_FILE,
    ExperimentStopped,
    RunListener,
    RunProgress,
    read_progress,
)
from mindref.recommender.evaluate_run import recommend_cases
from mindref.recommender.training.trainer import Trainer
from mindref.run import lock
from mindref.run.source import LoadedLog, Source
from mindref.run.training_data import prepare_training
from mindref.training import loop
from tests.experiments.tiny_experiment import base, compared, runs
from tests.runs import change_json, content, stop_after


def plan_run(folder, **changes):
    return PlannedRun(folder, base(**changes), "a run")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "run"
    runs().evaluate_run(plan_run(folder))
    return folder


@pytest.fixture
def copy(finished_run, tmp_path):
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.mark.rules("experiments-R2")
def test_first_hits_agree_with_the_hit_rate(finished_run):
    trainer = runs().make_trainer(plan_run(finished_run))
    cases = trainer.prepared.split.test
    ranked, _ = recommend_cases(trainer.model(), trainer.evaluation_set(cases), 100)
    stored = first_hits.load_hits(finished_run)
    hit = metrics.hit_mask(ranked.items, cases.targets)
    relevant = metrics.count_distinct(cases.targets)
    assert hit.any(axis=1).sum() > 20
    for n in range(1, 101):
        expected = (stored.first > 0) & (stored.first <= n)
        np.testing.assert_array_equal(expected, metrics.hit_rate_at(hit, relevant, n))
    np.testing.assert_array_equal(stored.users, cases.users)


@pytest.mark.rules("experiments-R14")
def test_a_resumed_run_has_the_bytes_of_an_uninterrupted_one(finished_run, tmp_path):
    folder = tmp_path / "run"
    listener = RunListener(watch=lambda config, step: nullcontext(stop_after(4)))
    with pytest.raises(ExperimentStopped):
        runs(listener).train_run(plan_run(folder))
    assert json.loads((folder / PROGRESS_FILE).read_text())["finished"] is False
    result = []
    runs(RunListener(result.append)).evaluate_run(plan_run(folder))
    assert result == ["run 1 of 0: a run: resumed at step 4"]
    names = ("model.safetensors", "optimiser.safetensors", "hits.safetensors", "report.json")
    assert content(folder, names) == content(finished_run, names)


@pytest.mark.rules("experiments-R14")
def test_lost_hits_are_only_evaluated_again_and_a_lost_state_is_an_error(copy, finished_run):
    for name in (PROGRESS_FILE, "report.json", "hits.safetensors"):
        (copy / name).unlink()
    run, _ = runs().evaluate_run(plan_run(copy))
    assert run.best_step == json.loads((finished_run / PROGRESS_FILE).read_text())["best_step"]
    names = ("hits.safetensors", "report.json")
    assert content(copy, names) == content(finished_run, names)
    for name in ("optimiser.safetensors", "hits.safetensors"):
        (copy / name).unlink()
    with pytest.raises(RunError, match=r"expected the state whose best step is \d, got 0; remove"):
        runs().evaluate_run(plan_run(copy))


@pytest.mark.rules("security-R1")
@pytest.mark.parametrize(
    ("name", "value"),
    [("value", "x"), ("best_step", -1), ("best_step", 0.5), ("diverged", 3), ("finished", "no"),
     ("value", None), ("value", math.nan), ("value", math.inf)],
)  # fmt: skip
def test_a_malformed_progress_file_is_ignored(copy, name, value):
    assert read_progress(copy).finished
    with change_json(copy / PROGRESS_FILE) as note:
        note[name] = value
    assert read_progress(copy) == RunProgress()


@pytest.mark.rules("experiments-R15", "security-R1")
def test_malformed_hits_are_ignored(copy):
    users, first = stored = first_hits.load_hits(copy)
    for other in (
        (users, first[:-1]),
        (users, first[:, None]),
        (users, first.astype(np.float64)),
        (users[::-1].copy(), first),
        (users, first + first_hits.DEPTH + 1),
        (users, first - 1 - first.min()),
        (users[0], first[0]),
    ):
        first_hits.save_hits(copy, first_hits.FirstHits(*other))
        assert first_hits.load_hits(copy) is None
    first_hits.save_hits(copy, stored)
    assert first_hits.load_hits(copy) is not None


@pytest.mark.rules("experiments-R15")
@pytest.mark.parametrize("damage", ["flipped", "another model", "foreign"])
def test_hits_of_another_model_are_computed_again(copy, damage):
    file, model = copy / first_hits.FILE, copy / "model.safetensors"
    expected, before = first_hits.load_hits(copy), file.read_bytes()
    if damage == "flipped":
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    elif damage == "foreign":
        file.write_bytes(model.read_bytes())
    else:
        parameters = model.read_bytes()
        model.write_bytes(b"another")
        first_hits.save_hits(copy, expected._replace(first=0 * expected.first))
        model.write_bytes(parameters)
    assert first_hits.load_hits(copy) is None
    _, found = runs().evaluate_run(plan_run(copy))
    np.testing.assert_array_equal(found.first, expected.first)
    assert file.read_bytes() == before


@pytest.mark.rules("experiments-R16")
@pytest.mark.parametrize(
    ("changes", "makes", "by_name"),
    [
        ({"window": 7}, {}, r"window: expected 7, got 10; choose another --out"),
        ({"steps": 9}, {}, r"steps: expected 9, got 7"),
        ({}, {"protocol": "paper"}, r"protocol: expected paper, got leave_last_out"),
        ({}, {"exclude_seen": False}, r"exclude_seen: expected False, got True"),
        ({}, {"log": "0" * 64}, r"expected a run on built-in, got a run on other content of this"),
        (
            {},
            {"log": "0" * 64, "source": Source("/new.tsv")},
            r"expected a run on /new.tsv, got a run on another log, built-in; choose another --out",
        ),
    ],
)
def test_a_folder_with_another_run_is_rejected(finished_run, changes, makes, by_name):
    made = runs()
    for name, value in makes.items():
        setattr(made, name, value)
    for work in (made.check_run, made.train_run):
        with pytest.raises(RunError, match=by_name):
            work(plan_run(finished_run, **changes))


@pytest.mark.rules("experiments-R16")
def test_runs_of_one_seed_are_checked_with_one_split(tmp_path, monkeypatch):
    compared(tmp_path, trials=2)  # two models, two seeds
    seeds, split_log = [], prepare_training
    monkeypatch.setattr(
        experiment_runs,
        "prepare_training",
        lambda loaded, protocol, config: (
            seeds.append(config.seed) or split_log(loaded, protocol, config)
        ),
    )
    compared(tmp_path, trials=2)
    assert seeds == [0, 1]
    drawn = runs(protocol="comirec")
    first, second = (drawn.split_log(base(seed=seed)).split.test.users for seed in (0, 1))
    assert first.tolist() != second.tolist()
    repeated = LoadedLog(replace(drawn.loaded.log, notes={"repeats": 10**6}))  # data-R99
    assert not type(drawn)(drawn.source, repeated, "comirec", exclude_seen=None).exclude_seen
    tasks = [drawn.split_log(base(basket_histories=by)).task for by in (False, True)]
    assert [task.history_lengths is None for task in tasks] == [True, False]


@pytest.mark.rules("experiments-R19")
def test_a_diverged_training_is_not_repeated(tmp_path, monkeypatch):
    wild, usual = plan_run(tmp_path / "run"), loop.step_learning_rate
    monkeypatch.setattr(
        loop, "step_learning_rate", lambda config, n: usual(config, n) if n < 3 else 1e30
    )
    run, found = runs().evaluate_run(wild)
    assert found is None
    assert run.value is None
    assert "loss" in run.diverged
    monkeypatch.setattr(Trainer, "__init__", None)
    again, found = runs().evaluate_run(wild)
    assert (again.diverged, found) == (run.diverged, None)


@pytest.mark.rules("faults-R4")
def test_a_run_locked_by_another_process_is_an_error(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        lock.lock_inside(tmp_path / "run"),
        pytest.raises(RunError, match="no other process that writes there"),
    ):
        runs().train_run(plan_run(tmp_path / "run"))
    assert runs().train_run(plan_run(tmp_path / "run")).best_step > 0
    assert not (tmp_path / "run" / lock.NAME).exists()
