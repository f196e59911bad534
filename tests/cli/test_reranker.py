"""DIN on the command line: training, evaluation, reranking."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from mindref.training import loop
from tests.cli.conftest import DIN_OPTIONS
from tests.runs import lose_log, trained


def din_command(recall_run, out):
    return ["train", "--model", "din", "--recall", recall_run, "--out", out, *DIN_OPTIONS]


@pytest.fixture(scope="module")
def recall_run(trained_run, tmp_path_factory):
    """A run only for these tests, because recall writes an index into it."""
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("own") / "run"))


def test_training_prints_both_orders_and_the_next_command(cli, recall_run, tmp_path):
    result = cli.succeed(*din_command(recall_run, tmp_path / "din"))
    for word in ("20 candidates per case", "order of recall", "gain", "ndcg@10", "within"):
        assert word in result.out, word
    assert f"next: mindref recall {recall_run} --rerank {tmp_path / 'din'} --user=" in result.out
    assert "step 4/4  loss 0." in result.err
    arguments = result.out.splitlines()[-1].removeprefix("next: mindref ").split()
    assert cli(*arguments).code == 0


def test_json_and_the_stored_report(cli, recall_run, din_run, tmp_path):
    found = cli.json(
        *din_command(recall_run, tmp_path / "din"), "--product", "--init-items", "recall"
    )
    assert cli.json("evaluate", tmp_path / "din") == found
    settings = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    found_settings = (settings["product"], settings["init_items"], settings["hidden"])
    assert found_settings == (True, "recall", [8])
    again = cli("evaluate", tmp_path / "din")
    assert (again.code, again.err) == (0, "")
    for name in ("before", "after", "gain"):
        assert f"{found['within'][name]['gauc']['value']:.4f}" in again.out, name


@pytest.mark.rules("din-R22")
def test_default_settings_are_those_of_din(cli, recall_run, tmp_path):
    file = tmp_path / "settings.toml"
    settings = ("width = 8", "window = 7", "attention_hidden = [4]", "batch = 4", "steps = 2")
    file.write_text("\n".join(('model = "din"', *settings)))
    command = ["train", "--model", "din", "--recall", recall_run, "--out", tmp_path / "din"]
    cli.succeed(*command, "--quiet", "--config", file, "--steps", 1)
    found = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    assert (found["steps"], found["width"], found["attention_hidden"]) == (1, 8, [4])
    assert (found["window"], found["hidden"], found["learning_rate"]) == (7, [64, 32], 0.001)


def test_a_moved_log_can_be_given(cli, run, tmp_path):
    folder = lose_log(run)
    assert "nothing there" in cli(*din_command(run, tmp_path / "din")).err
    cli.succeed(*din_command(run, tmp_path / "din"), "--data", folder, "--quiet")
    assert cli("train", "--resume", tmp_path / "din", "--data", folder, "--quiet").code == 0


@pytest.mark.rules("din-R23")
def test_ctrl_c_saves_and_the_training_can_be_resumed(
    cli, trained_run, din_run, tmp_path, monkeypatch
):
    real_step, out = loop.count_step, tmp_path / "din"

    def interrupted(state, loss):
        if state.moments.step == 1:
            signal.raise_signal(signal.SIGINT)
        return real_step(state, loss)

    monkeypatch.setattr(loop, "count_step", interrupted)
    result = cli(*din_command(trained_run, out))
    assert (result.code, result.out) == (130, "")
    assert "Stopped at step 2 of 4; all is saved. Resume with: mindref train --resume" in result.err
    monkeypatch.undo()
    assert "it was stopped; mindref train --resume" in cli("evaluate", out).err
    assert cli("recall", trained_run, "--rerank", out, "--history", "").code == 2
    assert "--resume: expected no other settings, got --steps" in (
        cli("train", "--resume", out, "--steps", 4).err
    )
    assert cli("train", "--resume", out, "--quiet").code == 0
    for name in ("model.safetensors", "report.json", "config.json"):
        assert (out / name).read_bytes() == (din_run / name).read_bytes(), name


def test_several_processes_are_rejected(cli, recall_run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--model din: expected one process, got several; run it without torchrun" in cli.error(
        *din_command(recall_run, tmp_path / "din")
    )


def test_the_help_shows_the_defaults_of_din(cli):
    text = " ".join(cli("train", "--help").out.split())
    assert (
        "most recent items of a user [1 to 10000; default 10, item_knn: 50] (with --model din: 50)"
        in text
    )
    depth = "din: n, number of candidates: for each history, DIN reranks the top n items of the"
    assert f"{depth} recall run [1 to 1000000; default 200]" in text
    assert "--candidates" not in cli("compare", "--help").out
    assert "din:" not in cli("compare", "--help").out


@pytest.mark.rules("security-R9")
def test_a_module_backend_must_be_named_in_every_command(cli, tmp_path, monkeypatch):
    """DIN for a run whose backend is not installed: trained, resumed, used."""
    code = "from mindref.backend import NumpyBackend\n\n\nclass Own(NumpyBackend):\n    pass\n"
    (tmp_path / "own_backend.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name, out = "own_backend:Own", tmp_path / "din"
    recall_run = trained(tmp_path / "run", backend=name)
    for arguments in (din_command(recall_run, out), ["train", "--resume", str(out)]):
        assert f"expected an installed backend, got '{name}'" in cli.error(*arguments)
        assert (
            f"--backend: expected {name}, the backend of {recall_run}, "
            "got numpy; remove the option" in cli.error(*arguments, "--backend", "numpy")
        )
        result = cli.succeed(*arguments, "--backend", name)
        advised = shlex.split(result.out.splitlines()[-1].removeprefix("next: mindref "))
        assert cli(*advised).code == 0


def test_a_file_of_settings_of_din_names_no_backend(cli, run, tmp_path):
    (tmp_path / "din.toml").write_text('backend = "torch"\n')
    arguments = ("train", "--model", "din", "--recall", run, "--config", tmp_path / "din.toml")
    assert "din: expected a setting of din, got backend" in cli.error_line(*arguments)
