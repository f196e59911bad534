"""Trackers: their calls, names, errors, and the records of the real ones."""

import struct
import sys
from contextlib import nullcontext

import pytest

from mindref import MIND
from mindref.errors import ConfigError
from mindref.recommender import trackers
from mindref.recommender.trackers import TrackerCallback, load_tracker
from tests.runs import SMALL, content


class ListTracker:
    """Records all calls; `fails` names a method that raises an error at every call."""

    fails = ""

    def __init__(self):
        self.calls = []

    def record(self, method, *arguments):
        print("a message of the tracker")
        self.calls.append((method, *arguments))
        if method == self.fails:
            raise SystemExit(f"{method}\x1b fails")

    def start(self, config):
        self.record("start", config)

    def log(self, step, values):
        self.record("log", step, values)

    def end(self, report):
        self.record("end", report)


def fit(callbacks, run=None):
    return MIND(**SMALL).fit(users=60, callbacks=callbacks, run=run)


def tracked(tracker, run=None):
    """Train with a tracker; return the warnings."""
    warnings = []
    fit([TrackerCallback(tracker, warnings.append)], run)
    return warnings


@pytest.mark.rules("callbacks-R8")
def test_a_tracker_receives_settings_curve_and_report(capsys):
    tracker = ListTracker()
    assert tracked(tracker) == []
    methods = [call[0] for call in tracker.calls]
    assert methods == ["start", "log", "log", "log", "log", "log", "log", "end"]
    assert tracker.calls[0][1]["settings"]["batch"] == SMALL["batch"]
    values = trackers.report_metrics(tracker.calls[-1][1])
    assert 0 <= values["test/hit_rate@10"] <= 1
    assert trackers.report_metrics(None) == {}
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("a message of the tracker") == 8


class Losses:
    """Stores the loss of each step; `stop` is a step that raises an interrupt."""

    def __init__(self, stop=None):
        self.values, self.stop = [], stop

    def on_step(self, step, loss):
        self.values.append(loss)
        if step == self.stop:
            raise KeyboardInterrupt


@pytest.mark.rules("callbacks-R10")
@pytest.mark.parametrize(
    ("stop", "records"),
    [
        (None, [(2, 2), (3, 1), (3, 0), (4, 1), (6, 2), (6, 0), (7, 1), (7, 0)]),
        (5, [(2, 2), (3, 1), (3, 0), (4, 1), (5, 1)]),
    ],
)
def test_each_loss_is_in_one_mean(stop, records, monkeypatch):
    monkeypatch.setattr(trackers, "STEPS_PER_LOG", 2)
    tracker, losses = ListTracker(), Losses(stop)
    callbacks = [TrackerCallback(tracker), losses]
    with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
        fit(callbacks)
    assert [call[0] for call in tracker.calls] == ["start", *["log"] * len(records), "end"]
    for (_, step, values), (expected_step, steps) in zip(tracker.calls[1:-1], records, strict=True):
        assert step == expected_step
        ((name, value),) = values.items()
        assert name == ("train/loss" if steps else "validation/hit_rate@10")
        if steps:
            assert value == pytest.approx(sum(losses.values[step - steps : step]) / steps)


@pytest.mark.rules("callbacks-R7", "callbacks-R11")
@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("start", ["start"]),
        ("log", ["start", "log", "end"]),
        ("end", ["start", *["log"] * 6, "end"]),
    ],
)
def test_a_tracker_that_fails_warns_once_and_changes_nothing(tmp_path, method, calls, caplog):
    tracker = ListTracker()
    tracker.fails = method
    fit([TrackerCallback(tracker)], tmp_path / "tracked")
    text = f"tracker ListTracker failed (SystemExit: {method}\\x1b fails); the training continues"
    assert [x for x in caplog.messages if "tracker" in x] == [text]
    assert [call[0] for call in tracker.calls] == calls
    fit([], tmp_path / "plain")
    assert content(tmp_path / "tracked") == content(tmp_path / "plain")


@pytest.mark.rules("callbacks-R6")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "expected one of tensorboard, or module:object, got 'tensorbord'"),
        ("json:x", "tracker json:x: expected an object that can be imported, got AttributeError"),
        (
            "json:loads",
            "expected the methods start, log, end, got an object without start",
        ),
        ("no_such_module:x", "expected the package no_such_module, got a package that is not inst"),
    ],
)
def test_a_name_that_is_no_tracker(name, message):
    with pytest.raises(ConfigError, match=message):
        load_tracker(name)


@pytest.mark.rules("callbacks-R6")
def test_the_message_of_a_missing_tracker_has_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    expected = r"the package tensorboardX, got .*; pip install 'tensorboardX>=[\d.]+'$"
    with pytest.raises(ConfigError, match=f"^tracker tensorboard: expected {expected}"):
        load_tracker("tensorboard")


@pytest.mark.needs("tensorboardX")
def test_tensorboard_writes_scalars(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    assert tracked("tensorboard", tmp_path / "run") == []
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    data, start, scalars = file.read_bytes(), 0, []
    while start < len(data):  # records of TensorFlow: length, checksum, event, checksum
        (length,) = struct.unpack("<Q", data[start : start + 8])
        event = Event.FromString(data[start + 12 : start + 12 + length])
        scalars += [(event.step, value.tag) for value in event.summary.value]
        start += 16 + length
    tags = [(0, "settings/text_summary"), (3, "train/loss"), (3, "validation/hit_rate_10")]
    assert scalars[:3] == tags
    assert (7, "test/ndcg_50") in scalars
