"""Targets that an earlier training of a model used: errors, warnings, and the record in files."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

import mindref
from mindref.data.frames import from_arrays
from mindref.data.rng import make_rng
from mindref.data.splits import make_split, split_global_time
from mindref.errors import ConfigError, RunError
from mindref.recommender import held_out
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.plan import plan_training
from mindref.recommender.training.trainer import resume_run
from mindref.recommender.training.warm_start import WarmStart
from mindref.run import checkpoint
from mindref.run.source import LoadedLog, Source, fingerprint
from tests.recommender.earlier_logs import log_until, trainer_of
from tests.runs import (
    SMALL,
    change_json,
    content,
    kept_report,
    loaded,
    stop_after,
    trainer,
    write_log,
)

ALL, EARLY = log_until(1.0), log_until(0.6)


def training_of(of_log, split, seed=0, **changes):
    """Return the record of a run that was trained on a log."""
    made = trainer_of(of_log, protocol=split, seed=seed)
    (training,) = held_out.list_trainings("runs/001", "", made.config, made.facts())
    return replace(training, **changes)


def find(log, split, *trainings, which="test"):
    """Return the results for the cases of a split."""
    cases = getattr(make_split(split, log, make_rng(0, "split")), which)
    return held_out.find_trained_targets(log, cases, which, (split, 0), trainings)


def finish(made):
    made.train()
    made.evaluate()
    return made


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Three runs of the small log: split none, then from it twice, with the split none."""
    folder = tmp_path_factory.mktemp("chain")
    start = None
    for name in ("first", "second", "third"):
        finish(trainer(folder / name, protocol="none", start=start, backend="numpy"))
        start = WarmStart.open(folder / name)
    return folder


@pytest.mark.rules("model-R61", "model-R80")
def test_targets_that_are_not_later_than_the_training_of_the_run_are_counted():
    test = split_global_time(ALL).test
    starts = ALL.interactions.offsets[test.users] + test.histories.lengths
    times = sorted(ALL.times[starts].tolist())
    assert find(ALL, "global_time", training_of(log_until(0.3), "none", log="another")) == []
    for last in (times[0], times[len(times) // 2], times[-1]):
        training = training_of(ALL, "none", log="another", last_time=last)
        (result,) = find(ALL, "global_time", training)
        assert result.num_trained == sum(time <= last for time in times)
    assert result.warning() == (
        f"{len(times)} of {len(times)} test targets are not later than the training interactions of"
        " runs/001. The model may be trained on them; then the metrics are too high."
    )


@pytest.mark.rules("model-R61", "model-R80")
def test_targets_without_times_are_not_counted_but_reported():
    untimed = replace(ALL, times=None)
    training = training_of(untimed, "none", log="another")
    assert training.last_time is None
    (result,) = find(untimed, "leave_last_out", training)
    assert result.warning() == (
        "the test targets cannot be compared with the training of runs/001. The model may be"
        " trained on them; then the metrics are too high."
    )
    assert len(find(ALL, "leave_last_out", training)) == 1


@pytest.mark.rules("model-R60", "model-R80")
@pytest.mark.parametrize(
    ("before", "after", "seed", "is_trained"),
    [
        ("none", "leave_last_out", 0, True),
        ("paper", "leave_last_out", 0, True),
        ("leave_last_out", "global_time", 0, True),
        ("global_time", "leave_last_out", 0, True),
        ("paper", "paper", 0, False),
        ("comirec", "comirec", 1, True),
        ("leave_last_out", "leave_last_out", 1, False),
    ],
)
def test_targets_of_the_same_log_are_counted_exactly(before, after, seed, is_trained):
    """Compare the count with sets of positions in the log. The test cases have the seed 0."""
    results = find(ALL, after, training_of(ALL, before, seed=seed))
    train = make_split(before, ALL, make_rng(seed, "split"))
    test = make_split(after, ALL, make_rng(0, "split")).test
    lengths = dict(zip(train.train_users.tolist(), train.train.lengths.tolist(), strict=True))
    used = {(user, i) for user, n in lengths.items() for i in range(n)}
    cases = zip(test.users.tolist(), test.histories.lengths.tolist(), strict=True)
    count = sum(case in used for case in cases)
    assert [(x.num_trained, x.kind) for x in results] == [(count, "certain")] * is_trained
    assert bool(count) == is_trained


@pytest.mark.rules("model-R61", "model-R71")
def test_the_last_interactions_of_a_longer_log_are_held_out():
    training = training_of(EARLY, "leave_last_out")
    assert find(ALL, "leave_last_out", training) == []
    for changes in ({"interactions": 10**6}, {"interactions": 0}, {"split": "none"}):
        assert find(ALL, "leave_last_out", replace(training, **changes))
    late = training_of(ALL, "leave_last_out", interactions=1)
    assert find(EARLY, "leave_last_out", late), "a log that ends before the training"


def log_of(rows):
    """Return a log of user -> times; no item occurs twice."""
    events = [(user, f"{user}{i}", t) for user, times in rows.items() for i, t in enumerate(times)]
    return from_arrays(*zip(*events, strict=True))


MONDAY = {"a": [1, 2], "b": [3], "c": [1, 2, 3, 4], "d": [5, 6, 7], "e": [1, 2, 6]}
TUESDAY = {**MONDAY, "a": [1, 2, 8], "b": [3, 9, 10], "c": [1, 2, 3, 4, 8]}


@pytest.mark.rules("model-R71", "model-R72")
@pytest.mark.parametrize("is_timed", [True, False])
def test_validation_targets_of_users_with_two_earlier_interactions_are_counted(is_timed):
    """leave_last_out trains on both interactions of the user a. On Tuesday, a has three."""
    monday, tuesday = log_of(MONDAY), log_of(TUESDAY)
    if not is_timed:
        monday, tuesday = replace(monday, times=None), replace(tuesday, times=None)
    training = training_of(monday, "leave_last_out")
    assert find(tuesday, "leave_last_out", training) == []
    (result,) = find(tuesday, "leave_last_out", training, which="validation")
    if is_timed:
        assert (training.last_time, result.num_trained, result.total) == (5, 1, 5)
        assert result.warning().startswith("1 of 5 validation targets are not later than the train")
    else:
        assert result.warning().startswith("the validation targets cannot be compared")


@pytest.mark.rules("model-R72")
@pytest.mark.parametrize(("second", "third", "count"), [(6, 9, 0), (5, 9, 1), (4, 7, 1), (4, 6, 0)])
def test_a_second_interaction_counts_until_the_last_time(second, third, count):
    """The time of the third interaction shows whether the earlier log had two of the user."""
    training = training_of(log_of(MONDAY), "leave_last_out")
    tuesday = log_of({**MONDAY, "e": [1, second, third]})
    results = find(tuesday, "leave_last_out", training, which="validation")
    assert [x.num_trained for x in results] == [1] * count


@pytest.mark.rules("model-R60", "model-R76")
def test_a_start_from_everything_cannot_be_evaluated_on_its_log(chain, monkeypatch):
    """Before reading if no log is given; else before the first step."""
    model = mindref.load(chain / "third")
    with pytest.raises(ConfigError, match=r"got \d+ of \d+ that it was trained on with"):
        mindref.MIND(steps=2).fit(loaded().log, start_from=model, split="leave_last_out")
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    monkeypatch.setattr(ServedModel, "load", lambda *x: pytest.fail("the model was loaded"))
    with pytest.raises(ConfigError, match=EARLY_ERROR):
        plan_start(chain / "first", None)


EARLY_ERROR = r"--split: expected none with --start-from .*, got paper on the log of"


def plan_start(run, data):
    """Return the plan of a start with the split paper."""
    return plan_training(None, {}, data, {}, protocol="paper", exclude_seen=None, start_from=run)


@pytest.mark.rules("model-R62", "model-R76")
def test_the_same_file_is_rejected_before_reading_but_not_a_longer_one(tmp_path):
    run = tmp_path / "run"
    path = write_log(tmp_path / "log.csv", [f"u{i % 9},i{i % 7},{i}" for i in range(60)])
    mindref.MIND(**SMALL, backend="numpy").fit(path, split="none", run=run)
    assert checkpoint.load_config(run)[1]["log_bytes"] == path.stat().st_size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "read", lambda *x: pytest.fail("the log was read"))
        with pytest.raises(ConfigError, match=EARLY_ERROR):
            plan_start(run, path)
    with path.open("a") as stream:
        stream.write("u1,i5,70")
    assert plan_start(run, path).protocol == "paper"
    with change_json(run / "config.json") as facts:
        facts["log_bytes"] = -1
    with pytest.raises(RunError, match=r"got log_bytes: expected an integer of at least 0, got -1"):
        checkpoint.load_config(run)


@pytest.mark.rules("model-R60")
def test_a_start_from_another_split_of_the_log_is_an_error():
    start = WarmStart(finish(trainer_of(ALL, protocol="paper")).served_model(), "runs/001")
    with pytest.raises(ConfigError, match=r"with the split paper of the same log"):
        trainer_of(ALL, start, protocol="leave_last_out")
    for is_command, todo in (
        (True, "train with --split none, or start from a run with the same --split and --seed"),
        (False, "train with split='none', or start from a run with the same split and seed"),
    ):
        with pytest.raises(ConfigError, match=todo):
            trainer_of(ALL, start._replace(is_command=is_command), protocol="paper", seed=1)
    assert trainer_of(ALL, start, protocol="paper").warnings == []


@pytest.mark.rules("model-R60")
def test_a_split_of_an_ancestor_is_an_error_too():
    """The last run has a split that holds the targets out; the run before it has not."""
    first = WarmStart(finish(trainer_of(ALL)).served_model(), "runs/001")
    second = finish(trainer_of(EARLY, first, protocol="none"))
    start = WarmStart(second.served_model(), "runs/002")
    with pytest.raises(ConfigError, match=r"start from .*runs/001: expected valid"):
        trainer_of(ALL, start, protocol="leave_last_out")


@pytest.mark.rules("model-R61", "model-R79", "model-R80")
def test_a_start_that_may_have_had_the_targets_warns(tmp_path, caplog):
    start = WarmStart(finish(trainer_of(EARLY)).served_model(), "runs/001")
    run = tmp_path / "run"
    lines = finish(trainer_of(ALL, start, run, protocol="leave_last_out")).warnings
    assert [x.split()[3] for x in lines] == ["validation", "test"]
    assert kept_report(run)["warnings"] == lines
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "read", lambda self, config=None: LoadedLog(ALL))
        assert evaluate_run(run)["warnings"] == lines[1:]
    with caplog.at_level(logging.WARNING, "mindref"):
        earlier = mindref.MIND(**SMALL, backend="numpy").fit(EARLY, split="none")
        mindref.MIND(**SMALL, backend="numpy").fit(ALL, start_from=earlier, split="leave_last_out")
    path = str(Path("runs/001").resolve())
    assert caplog.messages[:2] == [x.replace(path, "the model in memory") for x in lines]


@pytest.mark.rules("model-R79")
def test_a_resumed_run_has_the_warnings_of_its_start(tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    served = finish(trainer(protocol="none", backend="numpy")).served_model()
    served.facts = {**served.facts, "log": "another"}
    start = WarmStart(served, "runs/001")
    finish(trainer(whole, start=start, backend="numpy"))
    trainer(run, start=start, backend="numpy").train(stop_after(4))
    resumed = finish(resume_run(run))
    assert len(resumed.warnings) == 2
    assert content(run) == content(whole)
    assert kept_report(run) == kept_report(whole)


@pytest.mark.rules("model-R77")
def test_a_run_lists_what_all_earlier_runs_were_trained_on(chain):
    log, facts = loaded().log, json.loads((chain / "third" / "config.json").read_text())
    records = facts["start_from"]["trained_on"]
    model = facts["start_from"]["model"]
    assert [x.pop("model") == model for x in records] == [True, False]
    common = {"split": "none", "seed": 0, "log": fingerprint(log)}
    common |= {"interactions": len(log.interactions.values), "last_time": log.times.max()}
    assert records == [{"run": str(chain / name), **common} for name in ("second", "first")]


@pytest.mark.rules("model-R62")
def test_the_last_time_is_that_of_the_training_interactions():
    for split in ("leave_last_out", "global_time", "paper"):
        made = trainer_of(ALL, protocol=split).prepared
        rows = {u: ALL.interactions.offsets[u] for u in made.split.train_users}
        lengths = made.split.train.lengths
        times = [ALL.times[rows[u] + n - 1] for u, n in zip(rows, lengths, strict=True) if n]
        assert held_out.describe_training(made)["last_time"] == max(times)


@pytest.mark.rules("model-R77")
def test_a_damaged_list_of_earlier_runs_is_an_error(chain):
    with change_json(chain / "second" / "config.json") as facts:
        facts["start_from"]["trained_on"][0]["seed"] = "0"
    with pytest.raises(RunError, match=r"start_from: trained_on\[0\]: seed: expected an integer"):
        checkpoint.load_config(chain / "second")
