"""mindref train --dry-run: the plan of a training, its errors, and the training beside it."""

import pytest

from mindref.process import memory
from mindref.recommender.training.trainer import Trainer
from tests.runs import options

SMALL_OPTIONS = options(backend="numpy")


@pytest.fixture
def plan(cli, tmp_path, monkeypatch):
    """Return a function that plans a training; no training and no file may result."""

    def no_training(*_):
        pytest.fail("it trains")

    def plan(*words, call=cli.succeed):
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "train", no_training)
            result = call("train", *words, "--dry-run")
        assert list(tmp_path.iterdir()) == [], "a file was written"
        return result

    monkeypatch.chdir(tmp_path)
    return plan


@pytest.mark.rules("faults-R21")
def test_the_plan_names_log_split_settings_files_and_memory(plan, shop):
    result = plan("--data", shop, *SMALL_OPTIONS)
    lines = result.out.splitlines()
    assert lines[0] == f"read: {shop}: 60 users, 111 items, 486 interactions"
    assert lines[1] == (
        "split: leave_last_out: 370 training interactions in 60 sequences, 58 validation cases,"
        " 58 test cases"
    )
    assert lines[2].startswith("train: preset mind, model mind, 7 steps of 16 examples, 1,")
    assert lines[3].startswith("write: runs/001: config.json, items.tsv, metrics.jsonl, model.")
    assert lines[4].startswith("memory: about 2")
    assert lines[5:] == ["dry run: nothing was trained, and no file was written"]
    assert "read 60 users" in result.err


@pytest.mark.rules("faults-R20", "faults-R21")
def test_a_training_that_may_not_fit_is_announced(plan, shop, monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda: 1_000_000)
    result = plan("--data", shop, *SMALL_OPTIONS)
    assert "Warning: memory: the training will probably not fit: it needs about 2" in result.err


@pytest.mark.rules("faults-R21")
@pytest.mark.parametrize("model", ["mind", "wals", "popularity"])
def test_the_files_of_the_plan_are_those_of_the_training(cli, shop, tmp_path, model):
    words = ["train", "--data", shop, "--out", tmp_path / "run", "--model", model]
    words += SMALL_OPTIONS if model == "mind" else []
    planned = cli.json(*words, "--dry-run")["write"]["files"]
    cli.succeed(*words)
    written = (path.name for path in (tmp_path / "run").iterdir() if path.suffix != ".lock")
    assert planned == sorted(name for name in written if name != ".lock")


@pytest.mark.rules("faults-R21")
def test_the_start_is_checked_as_in_a_training(cli, shop, trained_run, tmp_path):
    words = ["train", "--data", shop, "--dry-run"]
    result = cli.succeed(*words, "--start-from", trained_run)
    assert f"start: from the parameters of {trained_run}" in result.out.splitlines()
    other = tmp_path / "other.csv"
    rows = [f"u{u},x{i},{i}" for u in range(8) for i in range(6)]
    other.write_text("user,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    words[2] = other
    assert "expected items of that run" in cli.error_line(*words, "--start-from", trained_run)


@pytest.mark.rules("faults-R21")
@pytest.mark.parametrize(
    ("words", "piece"),
    [
        (["--backend", "numpy"], "\ntrain: preset recommended, model mind_plus"),
        (["--model", "popularity"], "model popularity, fitted in one pass\n"),
    ],
)
def test_the_plan_names_the_preset_and_the_model(plan, shop, words, piece):
    assert piece in plan("--data", shop, *words).out


@pytest.mark.rules("faults-R21")
def test_the_plan_is_json_too(cli, plan, shop):
    facts = plan("--data", shop, "--split", "none", *SMALL_OPTIONS, call=cli.json)
    assert sorted(facts) == ["memory", "read", "split", "train", "write"]
    assert facts["split"]["test_cases"] == facts["memory"]["evaluation"] == 0
