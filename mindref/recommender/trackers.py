"""Experiment trackers: they record the settings, the curve and the report of a training.

Spec: specs/callbacks.md. A tracker is `tensorboard`, or any `module:object`. The package
tensorboardX writes event files without TensorFlow; it is imported when a tracker is made.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from mindref.backend import import_from_cwd
from mindref.errors import FOREIGN_ERRORS, ConfigError, printable, say
from mindref.process.requirements import install_extra
from mindref.recommender.callbacks import Callback, logger
from mindref.training.loop import Validation

MEMBERS = ("start", "log", "end")
STEPS_PER_LOG = 100
"""Steps between two records of the training loss."""


class Tracker(Protocol):
    """An experiment tracker. No method may modify the run directory's own files."""

    def start(self, config: dict[str, object]) -> None:
        """Begin a record. config: as in `Callback.on_start`."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record values of a step: `train/loss`, or `validation/` with the name of the metric."""

    def end(self, report: dict[str, object] | None) -> None:
        """End the record. report: on the test cases; None if the training was stopped or failed."""


def load_tracker(name: str) -> Tracker:
    """Return the tracker of a name, or the object `module:object`; a class is called.

    Raises ConfigError if the tracker is unknown, cannot be imported, or lacks a method.
    """
    location, todo = f"tracker {name}", ""
    try:
        if ":" in name:
            import_from_cwd(name)
            module, _, attribute = name.partition(":")
            loaded = getattr(importlib.import_module(module), attribute)
        elif name in TRACKERS:
            todo = install_extra(name)  # callbacks-R6
            loaded = TRACKERS[name]
        else:
            expected = f"one of {', '.join(TRACKERS)}, or module:object"
            raise ConfigError(say("tracker", expected, repr(name)))
        tracker: Any = loaded() if isinstance(loaded, type) else loaded
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        expected = f"the package {error.name}"
        raise ConfigError(
            say(location, expected, "a package that is not installed", todo)
        ) from error
    except FOREIGN_ERRORS as error:
        got = f"{type(error).__name__}: {error}"
        raise ConfigError(say(location, "an object that can be imported", got, todo)) from error
    missing = [member for member in MEMBERS if not callable(getattr(tracker, member, None))]
    if missing:
        expected = f"the methods {', '.join(MEMBERS)}"
        raise ConfigError(say(location, expected, f"an object without {', '.join(missing)}"))
    checked: Tracker = tracker
    return checked


class TrackerCallback(Callback):
    """Passes the events of a training to a tracker. An error of the tracker is only a warning.

    tracker: a name, or an object; warn: receives the warning, by default the logger `mindref`.
    Raises ConfigError as `load_tracker`.
    """

    def __init__(
        self, tracker: str | Tracker, warn: Callable[[str], None] = logger.warning
    ) -> None:
        self.name = tracker if isinstance(tracker, str) else type(tracker).__qualname__
        self.tracker = load_tracker(tracker) if isinstance(tracker, str) else tracker
        self.warn, self.is_started, self.has_failed = warn, False, False
        self.metric = ""
        self.losses: list[float] = []  # since the last record
        self.step = 0

    def on_start(self, config: dict[str, Any]) -> None:
        """Begin a record; without it, the tracker receives nothing else."""
        self.metric = config["settings"].get("metric", "")
        with self.one_warning():
            self.tracker.start(config)
            self.is_started = True

    def on_step(self, step: int, loss: float) -> None:
        """Record the mean loss since the last record, every `STEPS_PER_LOG` steps."""
        self.losses.append(loss)
        self.step = step
        if step % STEPS_PER_LOG == 0:
            self.log_losses()

    def on_validation(self, validation: Validation) -> None:
        """Record the mean loss since the last record, and the validation metric."""
        self.log_losses()  # callbacks-R10
        if validation.value is not None:
            self.log_values(validation.step, {f"validation/{self.metric}": validation.value})

    def on_end(self, report: dict[str, object] | None) -> None:
        """Record the mean loss since the last record, and end the record."""
        self.log_losses()
        if self.is_started:
            with self.one_warning():
                self.tracker.end(report)

    def log_losses(self) -> None:
        """Record the mean of the losses since the last record, if there are any."""
        if self.losses:
            mean = sum(self.losses) / len(self.losses)
            self.losses.clear()
            self.log_values(self.step, {"train/loss": mean})

    def log_values(self, step: int, values: dict[str, float]) -> None:
        """Record values of a step, unless the tracker has failed."""
        if self.is_started and not self.has_failed:  # callbacks-R11
            with self.one_warning():
                self.tracker.log(step, values)

    @contextmanager
    def one_warning(self) -> Iterator[None]:
        """Turn the first error of the tracker into a warning, and ignore an error of its end.

        What a tracker prints goes to standard error: standard output may be JSON.
        """
        try:
            with redirect_stdout(sys.stderr):  # callbacks-R8
                yield
        except FOREIGN_ERRORS as error:  # callbacks-R7
            if not self.has_failed:
                self.has_failed = True
                text = printable(" ".join(f"{type(error).__name__}: {error}".split()))
                self.warn(f"tracker {self.name} failed ({text}); the training continues")


def report_metrics(report: Mapping[str, Any] | None) -> dict[str, float]:
    """Return `test/METRIC` -> value of the metrics of the model; {} without a report."""
    metrics = ((report or {}).get("metrics") or {}).get("test") or {}
    values = {name: row["value"] for name, row in metrics.get("model", {}).items()}
    return {f"test/{name}": float(value) for name, value in values.items() if value is not None}


def flat_settings(config: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return the entries of a configuration and its settings as plain values; lists as text."""
    entries = {k: x for k, x in config.items() if k != "settings"} | config["settings"]
    return {
        name: value if isinstance(value, str | int | float | bool) else ",".join(map(str, value))
        for name, value in entries.items()
    }


class TensorboardTracker:
    """Writes scalars, the settings as text, and the test metrics as scalars of the last step.

    The files are in `RUN/tensorboard`, so that `tensorboard --logdir runs` shows all runs. A
    training without a run directory writes to the folder `tensorboard`.
    """

    def __init__(self) -> None:
        from tensorboardX import SummaryWriter

        self.make_writer, self.step = SummaryWriter, 0

    def start(self, config: dict[str, Any]) -> None:
        """Open an event file and write the settings."""
        self.writer: Any = self.make_writer(str(Path(config["run"]) / "tensorboard"))
        rows = [f"| {name} | {value} |" for name, value in flat_settings(config).items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Write scalars."""
        self.step = max(self.step, step)
        for name, value in values.items():
            # tags of TensorBoard have no @; without this, tensorboardX prints a message
            self.writer.add_scalar(re.sub(r"[^-/\w.]", "_", name), value, step)

    def end(self, report: dict[str, object] | None) -> None:
        """Write the test metrics and close the file."""
        self.log(self.step, report_metrics(report))
        self.writer.close()


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorboardTracker}
"""Name of `--track`, and of the extra that installs the library -> class."""
