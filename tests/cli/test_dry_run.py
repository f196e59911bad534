"""mindref train --dry-run: the plan of a training, without a training and without a file."""

import pytest

from mindref.process import memory
from mindref.recommender.training.trainer import Trainer
from tests.runs import options

SMALL_OPTIONS = options(backend="numpy")


@pytest.fixture(autouse=True)
def no_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("it trains"))
    yield
    assert list(tmp_path.iterdir()) == [], "a file was written"


@pytest.mark.rules("faults-R21")
def test_the_plan_names_log_split_settings_files_and_memory(cli, shop):
    result = cli.succeed("train", "--data", shop, "--dry-run", *SMALL_OPTIONS)
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


@pytest.mark.rules("faults-R21")
def test_the_plan_is_json_too(cli, shop):
    plan = cli.json("train", "--data", shop, "--dry-run", "--split", "none", *SMALL_OPTIONS)
    assert sorted(plan) == ["memory", "read", "split", "train", "write"]
    assert plan["split"]["test_cases"] == 0
    parts = ("program", "log", "parameters", "evaluation")
    assert plan["memory"]["total"] == sum(plan["memory"][name] for name in parts)
    assert plan["memory"]["evaluation"] == 0


@pytest.mark.rules("faults-R21")
def test_both_presets_are_listed_if_one_is_chosen(cli, shop):
    result = cli.succeed("train", "--data", shop, "--dry-run", "--backend", "numpy")
    presets = [x for x in result.out.splitlines() if x.startswith("train: preset")]
    assert [line.split()[2] for line in presets] == ["best,", "sparse,"]
    assert "train: the presets are compared after a sixth of the training" in result.out


@pytest.mark.rules("faults-R21")
def test_a_model_that_is_fitted_has_no_steps(cli, shop):
    result = cli.succeed("train", "--data", shop, "--dry-run", "--model", "popularity")
    assert "model popularity, fitted in one pass" in result.out


@pytest.mark.rules("faults-R21")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "RUN"], "--dry-run: expected a new training, got --resume"),
        (["--model", "din", "--recall", "RUN"], "--dry-run: expected a new training, got --model"),
        (["--out", "RUN"], "expected no run there, got one"),
        (["--data", "SHOP", "--metric", "best"], "--metric: expected"),
        (["--data", "none"], "none: expected a file or a folder"),
    ],
)
def test_a_plan_that_cannot_be_trained_is_an_error(cli, trained_run, shop, words, message):
    places = {"RUN": str(trained_run), "SHOP": str(shop)}
    words = [places.get(word, word) for word in words]
    assert message in cli.error_line("train", "--dry-run", *words)


@pytest.mark.rules("faults-R20", "faults-R21")
def test_a_training_that_may_not_fit_is_announced(cli, shop, monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda: 1_000_000)
    result = cli.succeed("train", "--data", shop, "--dry-run", *SMALL_OPTIONS)
    assert "Warning: memory: the training will probably not fit: it needs about 2" in result.err
