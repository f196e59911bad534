"""Callbacks of a training: order, copies, stops, errors, and messages of the logger."""

import logging
import random

import pytest

from mindref import MIND
from mindref.errors import ConfigError
from mindref.recommender.callbacks import Callback
from mindref.recommender.training.trainer import resume_run
from tests import spec_pages
from tests.runs import SMALL, content, loaded, messages, run_python

DATA = {"users": 60}  # the built-in catalogue of tests.runs


class Recorder(Callback):
    """Records the events; raises an error at one of them."""

    def __init__(self, raises="", error=KeyError):
        self.events, self.raises, self.error = [], raises, error

    def record(self, event):
        self.events.append(event)
        if event == self.raises:
            raise self.error("planted")

    def on_start(self, config):
        self.config = config
        self.record("on_start")

    def on_step(self, step, loss):
        self.record(f"on_step {step}")

    def on_validation(self, validation):
        self.record(f"on_validation {validation.step}")

    def on_end(self, report):
        self.report = report
        self.record("on_end")


class Vandal(Callback):
    """Modifies all arguments, and the global random state of Python."""

    def on_start(self, config):
        config["settings"].clear()

    def on_validation(self, validation):
        random.seed(validation.step)
        return 1  # not True

    def on_end(self, report):
        report.clear()


class StopAt:
    """Not a subclass: any object with one of the methods is a callback."""

    def __init__(self, step):
        self.step = step

    def on_validation(self, validation):
        return validation.step >= self.step


def fit(callbacks, run=None, **changes):
    return MIND(**{**SMALL, **changes}).fit(**DATA, callbacks=callbacks, run=run)


@pytest.mark.rules("callbacks-R1")
def test_the_events_of_the_page(tmp_path):
    (example,) = spec_pages.examples("callbacks")
    recorder, files = Recorder(), []

    class Files:
        def on_validation(self, validation):
            files.append((validation.step, (tmp_path / "run" / "metrics.jsonl").read_text()))

    model = fit([recorder, Files()], tmp_path / "run", **example["settings"])
    assert recorder.events == example["events"]
    assert [text.count("\n") for _, text in files] == [1, 2]
    assert recorder.report == model.report
    config = recorder.config
    assert (config["run"], config["data"]) == (str(tmp_path / "run"), "built-in")
    assert config["settings"]["evaluate_every"] == 3
    assert "neighbours" not in config["settings"]


@pytest.mark.rules("callbacks-R2", "callbacks-R3")
def test_callbacks_change_no_byte(tmp_path):
    plain = fit([], tmp_path / "plain")
    watched = fit([Vandal(), Recorder()], tmp_path / "watched")
    assert content(tmp_path / "plain") == content(tmp_path / "watched")
    assert plain.report == watched.report
    assert watched.report["steps"] == SMALL["steps"]


@pytest.mark.rules("callbacks-R3")
def test_a_callback_ends_the_training(tmp_path):
    model = fit([StopAt(3), recorder := Recorder()], tmp_path / "run")
    assert (model.report["ended_by"], model.report["steps"]) == ("callback", 3)
    assert recorder.events[-3:] == ["on_step 3", "on_validation 3", "on_end"]
    assert model.recommend(user="customer-0001", n=1)
    shorter = fit([], evaluate_every=3, steps=3, decay="none")
    same = fit([StopAt(3)], decay="none")
    assert same.report["metrics"] == shorter.report["metrics"]


@pytest.mark.rules("callbacks-R4", "callbacks-R5")
@pytest.mark.parametrize(
    ("event", "error"),
    [("on_start", KeyError), ("on_step 5", SystemExit), ("on_validation 6", KeyError)],
)
@pytest.mark.slow(every=2)
def test_an_error_of_a_callback_loses_nothing(tmp_path, event, error):
    run = tmp_path / "run"
    step = int(event.partition(" ")[2] or 0)
    recorder, second = Recorder(event, error), Recorder()
    with pytest.raises(error, match="planted") as raised:
        fit([recorder, second], run)
    notes = "; ".join(raised.value.__notes__)
    assert f"raised by the callback Recorder.{event.split()[0]}" in notes
    assert f"saved at step {step}; mindref train --resume {run}" in notes
    assert recorder.events[-2:] == [event, "on_end"]
    assert event not in second.events
    assert [x.events.count("on_end") for x in (recorder, second)] == [1, 1]
    assert recorder.report is None
    assert second.report is None
    trainer = resume_run(run)
    assert trainer.state.moments.step == step
    trainer.train()
    fit([], tmp_path / "plain")
    assert content(run) == content(tmp_path / "plain")


@pytest.mark.rules("callbacks-R5")
def test_every_callback_receives_the_end_of_an_interrupted_training():
    recorders = [Recorder(), Recorder("on_step 2", KeyboardInterrupt), Recorder("on_end")]
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(recorders)
    assert [x.events.count("on_end") for x in recorders] == [1, 1, 1]
    (note,) = raised.value.__notes__
    assert "KeyError: 'planted'; raised by the callback Recorder.on_end" in note


def test_an_error_at_the_end_leaves_a_trained_model():
    model, second = MIND(**SMALL), Recorder()
    with pytest.raises(KeyError, match="planted"):
        model.fit(**DATA, callbacks=[Recorder("on_end"), second])
    assert second.events[-1] == "on_end"
    assert model.recommend(user="customer-0001", n=1)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([Recorder], "callbacks: expected objects, got the class Recorder"),
        ([print], "callbacks: expected objects with on_start or on_step or on_validation or on_en"),
        ([type("Typo", (), {"on_valdation": print})()], r"did you mean on_validation\?"),
        ({}, r"callbacks: expected a list of objects, got dict; write callbacks=\[\.\.\.\]"),
        (Recorder(), r"fit: callbacks: expected a list, got <.*Recorder"),
    ],
)
def test_an_object_that_is_no_callback_is_refused_before_the_log_is_read(callbacks, message):
    with pytest.raises(ConfigError, match=message):
        MIND(**SMALL).fit("a file that does not exist", callbacks=callbacks)


@pytest.mark.rules("callbacks-R9")
def test_the_logger_has_progress_and_warnings(caplog):
    with caplog.at_level(logging.INFO, logger="mindref"):
        MIND(**SMALL).fit(**DATA)
    records = [(record.levelname, record.getMessage()) for record in caplog.records]
    counts = f"{len(loaded().log.user_ids)} users"
    assert records[0][0] == "INFO"
    assert records[0][1].startswith(f"read {counts}")
    steps = [text for level, text in records if text.startswith("step ")]
    assert [text.split(",")[0] for text in steps] == [f"step {n} of 7" for n in (3, 6, 7)]
    warnings = [text for level, text in records if level == "WARNING"]
    assert records[-1 - len(warnings)] == ("INFO", "ended at step 7 by steps")
    assert warnings[0].startswith("item_knn is above the model: ")


@pytest.mark.rules("callbacks-R9")
def test_nothing_is_printed_without_a_configuration():
    code = f"import mindref; mindref.MIND(**{SMALL}).fit(users=60)"
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, messages(done.stderr)) == (0, "", "")
