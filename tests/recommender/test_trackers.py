"""Trackers: their calls, names, errors, and the records of the real ones."""

import struct

import pytest

from mindref import MIND
from mindref.errors import ConfigError
from mindref.process.requirements import install_extra
from mindref.recommender import trackers
from mindref.recommender.trackers import TrackerCallback, install_hint, load_tracker
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


def tracked(tracker, run=None, **changes):
    """Train with a tracker; return the warnings."""
    warnings = []
    callback = TrackerCallback(tracker, warnings.append)
    MIND(**{**SMALL, **changes}).fit(users=60, callbacks=[callback], run=run)
    return warnings


@pytest.mark.rules("callbacks-R8")
def test_a_tracker_receives_settings_curve_and_report(monkeypatch, capsys):
    monkeypatch.setattr(trackers, "STEPS_PER_LOG", 3)
    tracker = ListTracker()
    assert tracked(tracker) == []
    methods = [call[0] for call in tracker.calls]
    assert methods == ["start", "log", "log", "log", "log", "log", "end"]
    logged = [(step, *values) for _, step, values in tracker.calls[1:-1]]
    train, validation = "train/loss", "validation/hit_rate@10"
    assert logged == [(3, train), (3, validation), (6, train), (6, validation), (7, validation)]
    assert tracker.calls[0][1]["settings"]["batch"] == SMALL["batch"]
    values = trackers.report_metrics(tracker.calls[-1][1])
    assert 0 <= values["test/hit_rate@10"] <= 1
    assert trackers.report_metrics(None) == {}
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("a message of the tracker") == 7


@pytest.mark.rules("callbacks-R7")
@pytest.mark.parametrize("method", ["start", "log", "end"])
def test_a_tracker_that_fails_warns_once_and_changes_nothing(tmp_path, method):
    tracker = ListTracker()
    tracker.fails = method
    warnings = tracked(tracker, tmp_path / "tracked")
    text = f"tracker ListTracker failed (SystemExit: {method}\\x1b fails); the training continues"
    assert warnings == [text]
    methods = [call[0] for call in tracker.calls]
    assert methods == (["start"] if method == "start" else ["start", "log", "log", "log", "end"])
    MIND(**SMALL).fit(users=60, run=tmp_path / "plain")
    assert content(tmp_path / "tracked") == content(tmp_path / "plain")


def test_a_warning_goes_to_the_logger(caplog):
    tracker = ListTracker()
    tracker.fails = "log"
    MIND(**SMALL).fit(users=60, callbacks=[TrackerCallback(tracker)])
    assert sum("the training continues" in text for text in caplog.messages) == 1


@pytest.mark.rules("callbacks-R6")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlfow", "tracker: expected one of .*mlflow.* or module:object, got 'mlfow'"),
        ("json:x", "tracker json:x: expected an object that can be imported, got AttributeError"),
        ("json:loads", "expected the methods start, log, end, got no start, log, end"),
        ("no_such_module:x", "expected the package no_such_module, got it is not installed"),
    ],
)
def test_a_name_that_is_no_tracker(name, message):
    with pytest.raises(ConfigError, match=message):
        load_tracker(name)


@pytest.mark.rules("callbacks-R6")
@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_the_message_of_a_missing_tracker_names_the_extra(name, monkeypatch):
    class Missing:
        dist = None

        def load(self):
            raise ModuleNotFoundError("none", name="the_library")

    assert name in trackers.installed_trackers()
    with monkeypatch.context() as patch:
        patch.setattr(trackers, "installed_trackers", lambda: {name: Missing()})
        with pytest.raises(ConfigError) as raised:
            load_tracker(name)
    expected = f"tracker {name}: expected the package the_library, got it is not installed;"
    assert str(raised.value) == f"{expected} {install_hint(name)}"
    assert install_hint(name) == install_extra(name)
    assert f"pip install '{name}" in install_hint(name)


def test_another_package_installs_its_own_tracker(monkeypatch):
    class Entry:
        class dist:
            name = "other"

    monkeypatch.setattr(trackers, "installed_trackers", lambda: {"x": Entry})
    assert install_hint("x") == "install what the package other needs for it"


def test_tensorboard_writes_scalars(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    from tensorboardX.proto.event_pb2 import Event

    assert tracked("tensorboard", tmp_path / "run") == []
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    data, start, scalars = file.read_bytes(), 0, []
    while start < len(data):  # records of TensorFlow: length, checksum, event, checksum
        (length,) = struct.unpack("<Q", data[start : start + 8])
        event = Event.FromString(data[start + 12 : start + 12 + length])
        scalars += [(event.step, value.tag) for value in event.summary.value]
        start += 16 + length
    assert scalars[:2] == [(0, "settings/text_summary"), (3, "validation/hit_rate_10")]
    assert (7, "test/ndcg_50") in scalars


def test_mlflow_records_a_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "records").as_uri())
    assert tracked("mlflow", tmp_path / "run") == []
    (record,) = mlflow.MlflowClient().search_runs(["0"])
    assert (record.info.run_name, record.info.status) == ("run", "FINISHED")
    assert record.data.params["width"] == "8"
    assert {"validation/hit_rate_10", "test/hit_rate_10"} <= set(record.data.metrics)


def test_wandb_writes_an_offline_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tracked("wandb", tmp_path / "run") == []
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"validation/hit_rate@10" in file.read_bytes()
