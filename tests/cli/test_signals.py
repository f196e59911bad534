"""Signals that end a command: exit codes, saved state, restored handlers."""

import copy
import json
import os
import pty
import re
import signal
import threading
from unittest.mock import Mock

import pytest

import mindref.cli
from mindref.cli import main, signals
from mindref.cli.progress import TolerantStderr
from tests import spec_pages
from tests.runs import options, read_until, start

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LONG = options(steps=4000, evaluate_every=20, backend="numpy")


def start_long_training(folder, **streams):
    return start("train", "--out", "run", *LONG, cwd=folder, start_new_session=True, **streams)


@pytest.mark.rules("faults-R9")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.slow(every=2)
def test_a_signal_saves_the_training_and_prints_how_to_resume(tmp_path, number):
    with start_long_training(tmp_path) as child:
        read_until(child, "step 20/")
        child.send_signal(number)
        result = child.stderr.read()
        assert child.wait(timeout=60) == CODES[number], result
    last = result.splitlines()[-1]
    step = json.loads((tmp_path / "run" / "state.json").read_text())["step"]
    assert last == (
        f"Stopped at step {step} of 4000; all is saved. Resume with: mindref train --resume run"
    )
    assert "Traceback" not in result
    assert not list((tmp_path / "run").glob(".*")), "no lock and no half a file is left"


@pytest.mark.rules("faults-R10")
@pytest.mark.slow
def test_a_signal_during_the_choice_of_the_preset_leaves_an_empty_folder(tmp_path):
    words = ["--backend", "numpy", "--batch", "16", "--evaluate-every", "1"]
    with start("train", "--out", "run", *words, cwd=tmp_path) as child:
        read_until(child, "step 1/")
        child.send_signal(signal.SIGTERM)
        result = child.stderr.read()
        assert child.wait(timeout=60) == 143, result
    assert result.splitlines()[-1] == "Stopped."
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.rules("faults-R9", "faults-R11")
@pytest.mark.slow
def test_a_training_is_saved_when_its_terminal_is_closed(tmp_path):
    """The terminal of the progress bar is closed: writes fail, and SIGHUP is sent."""
    ours, own_module = pty.openpty()
    with start_long_training(tmp_path, stderr=own_module) as child:
        os.close(own_module)
        result = b""
        while b"step 40/" not in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", result):
            result += os.read(ours, 4096)
        os.close(ours)
        child.send_signal(signal.SIGHUP)
        assert child.wait(timeout=60) == 129
    assert json.loads((tmp_path / "run" / "state.json").read_text())["step"] >= 40


@pytest.mark.rules("faults-R11")
def test_no_write_to_a_closed_terminal_raises(monkeypatch):
    monkeypatch.setattr("sys.stderr", stream := Mock(**{"write.side_effect": OSError}))
    copy.copy(TolerantStderr()).write("line 1\nline 2\n")
    stream.write.assert_called_once_with("line 1\nline 2\n")


@pytest.mark.rules("faults-R10")
@pytest.mark.parametrize("number", CODES, ids=lambda n: n.name)
def test_other_commands_end_at_once(cli, run, tmp_path, number, monkeypatch):
    """While lists are written to a file, which must not remain."""
    from mindref.recall import lists

    def write(*arguments):
        assert list(tmp_path.glob(".lists.tsv.*.tmp")), "it is being written"
        signal.raise_signal(number)
        pytest.fail("nothing was heard")

    monkeypatch.setattr(lists, "list_to_tsv", write)
    before = sorted(path.name for path in tmp_path.iterdir())
    result = cli("recall", run, "--all-users", "--output", tmp_path / "lists.tsv")
    assert result.code == CODES[number]
    assert result.err.strip() == "Stopped."
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_previous_signal_handlers_are_restored(cli):
    before = [signal.getsignal(number) for number in CODES]
    cli("backends")
    assert [signal.getsignal(number) for number in CODES] == before


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.raise_on_signals(), signals.stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
            assert signal.getsignal(signal.SIGTERM) == stop.on_signal
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("second", CODES, ids=lambda n: n.name)
def test_a_second_signal_of_any_kind_ends_at_once(second):
    with signals.raise_on_signals(), signals.stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert (stop(), stop.code) == (True, 143)
        with pytest.raises(KeyboardInterrupt) as ended:
            signal.raise_signal(second)
        assert signals.signal_exit_code(ended.value) == CODES[second]


@pytest.mark.parametrize("command", ["backends", "train"])
def test_a_command_can_run_in_a_thread(command, tmp_path, shop):
    training = ["--data", str(shop), "--out", str(tmp_path / "run"), *options(steps=2)]
    codes = []

    def work():
        try:
            main([command, *(training if command == "train" else ())])
        except SystemExit as ended:
            codes.append(ended.code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.rules("faults-R9")
def test_the_exit_codes_are_documented_and_specified():
    text = " ".join(str(mindref.cli.__doc__).split())
    for number, code in CODES.items():
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        assert f"{code} stopped by {name}" in text
    (example,) = spec_pages.examples("faults")
    assert example["codes"] == {number.name: code for number, code in CODES.items()}


@pytest.mark.rules("faults-R9")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_a_fit_at_once(cli, shop, tmp_path, number, monkeypatch):
    """A model that is fitted in one pass has no step after which the training could stop."""
    from mindref.recommender.training import trainer as trainer_module

    def fit(*arguments, **keywords):
        signal.raise_signal(number)
        pytest.fail("the fit goes on")

    monkeypatch.setattr(trainer_module, "fit_model", fit)
    words = options(model="popularity")
    result = cli("train", "--data", shop, "--out", tmp_path / "run", *words)
    assert result.code == CODES[number]
    last = result.err.splitlines()[-1]
    assert last.startswith("Stopped at once; nothing is saved. Resume with: mindref train")
    monkeypatch.undo()
    cli.succeed("train", "--resume", tmp_path / "run")
