"""Callbacks: objects that receive the steps, the validations and the end of a training.

Spec: specs/callbacks.md. The callback of the Python interface sends messages to the logger
`mindref`: progress with the level INFO, warnings with the level WARNING. Without a configuration of
`logging`, nothing is printed. The command line prints its own messages.
"""

from __future__ import annotations

import copy
import difflib
import logging
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mindref.data.log import InteractionLog
from mindref.data.readers.advice import reading_hints
from mindref.errors import FOREIGN_ERRORS, ConfigError, say
from mindref.recommender.training.trainer import TrainingRun
from mindref.training.loop import Hooks, Validation

logger = logging.getLogger("mindref")

EVENTS = ("on_start", "on_step", "on_validation", "on_end")
STOPPED = "callback"
"""The entry `ended_by` of the report if a callback ended the training."""


class Callback:
    """Receives the events of a training. The methods of this class do nothing.

    Write a subclass, or any class with some of these methods, and pass objects to
    `MIND.fit(callbacks=[...])`. Arguments are copies or cannot be modified.
    """

    def on_start(self, config: dict[str, object]) -> None:
        """Receive the run before its first step.

        config: `run`, the path of the run directory, "" without one; `settings`, the settings that
        the model uses, by name; for a model that recalls also `data`, the log, and `split`.
        """

    def on_step(self, step: int, loss: float) -> None:
        """Receive the loss of a step; steps are counted from 1."""

    def on_validation(self, validation: Validation) -> bool | None:
        """Receive a validation: `step`, `loss` (mean), `value` of the metric, `is_best`.

        The checkpoint of the validation is on disk. Return True to end the training.
        """

    def on_end(self, report: dict[str, object] | None) -> None:
        """Receive the report on the test cases; None if the training was stopped or failed."""


class TrainingEvents:
    """Passes the events of one training to its callbacks; `before` are called first.

    Raises ConfigError for an object that is no callback, and for anything but a list of them.
    """

    def __init__(self, callbacks: Sequence[object], before: Sequence[Callback] = ()) -> None:
        if not isinstance(callbacks, list | tuple):
            got, todo = callback_name(callbacks), "write callbacks=[...]"
            raise ConfigError(say("callbacks", "a list of objects", got, todo))
        for callback in callbacks:
            check_callback(callback)
        self.callbacks = [*before, *callbacks]
        self.error: BaseException | None = None  # raised by a callback
        self.ended_by_callback = False

    def hooks(self, hooks: Hooks | None = None) -> Hooks:
        """Return hooks that call these hooks, then the callbacks."""
        first = hooks or Hooks()

        def on_step(step: int, loss: float) -> None:
            first.on_step(step, loss)
            self.send("on_step", step, loss)

        def on_validation(validation: Validation) -> None:
            first.on_validation(validation)
            self.send("on_validation", validation)

        def stop() -> bool:
            return first.stop() or self.ended_by_callback or self.error is not None

        return first._replace(on_step=on_step, on_validation=on_validation, stop=stop)

    def send(self, event: str, *arguments: object) -> None:
        """Call a method of every callback. An error ends the training after its state is saved."""
        for callback in self.callbacks:
            if self.error is not None and event != "on_end":  # callbacks-R4
                return
            try:
                copies = copy.deepcopy(arguments)  # callbacks-R2: the report is still needed
                result = getattr(callback, event, lambda *ignored: None)(*copies)
            except FOREIGN_ERRORS as error:
                error.add_note(f"raised by the callback {callback_name(callback)}.{event}")
                self.error = self.error or error
                continue
            self.ended_by_callback |= event == "on_validation" and result is True  # callbacks-R3

    def train(self, trainer: TrainingRun, hooks: Hooks | None = None) -> bool:
        """Train; return whether the training has ended: after its last step, or by a callback.

        False: a signal or one of `hooks` stopped it. Raises the error of a callback after the state
        is saved.
        """
        is_finished = trainer.train(self.hooks(hooks)).finished
        self.raise_error(trainer)
        if self.ended_by_callback and not is_finished:
            trainer.stopped_by = STOPPED
            trainer.choose_terms()
        return is_finished or self.ended_by_callback

    def end(self, report: dict[str, object] | None) -> None:
        """Send the end. Raises the error of a callback."""
        self.send("on_end", report)
        if self.error is not None:
            raise self.error

    def raise_error(self, trainer: TrainingRun) -> None:
        """Raise the error of a callback, if any, with a note on the saved state."""
        if self.error is None:
            return
        if trainer.run is not None:
            step = trainer.state.moments.step
            words = ["mindref", "train", "--resume", str(trainer.run)]
            note = f"the training is saved at step {step}; {shlex.join(words)} continues it"
            self.error.add_note(note)
        raise self.error


@contextmanager
def training_events(trainer: TrainingRun, events: TrainingEvents) -> Iterator[None]:
    """Send the start of a training; if the block raises an error, send the end without a report."""
    try:
        events.send("on_start", trainer.description())
        for validation in trainer.validations:  # callbacks-R1: of before, for example in a resume
            events.send("on_validation", validation)
        events.raise_error(trainer)
        yield
    except BaseException as error:  # also Ctrl-C
        events.error = None  # callbacks-R5
        try:
            events.end(None)
        except FOREIGN_ERRORS as second:
            name_of_callback = second.__notes__[-1]  # `send` adds it
            error.add_note(f"then {type(second).__name__}: {second}; {name_of_callback}")
        raise


def callback_name(callback: object) -> str:
    """Return the name of the class of a callback."""
    return type(callback).__qualname__


def check_callback(callback: object) -> None:
    """Raise ConfigError for an object without a method of `Callback`, or with an unknown one."""
    name = callback_name(callback)
    if isinstance(callback, type):
        raise ConfigError(say("callbacks", "objects", f"the class {callback.__qualname__}"))
    events = [x for x in dir(callback) if x.startswith("on_") and callable(getattr(callback, x))]
    for event in events:
        if event not in EVENTS:
            near = difflib.get_close_matches(event, EVENTS, n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            expected = f"only methods of Callback: {', '.join(EVENTS)}"
            raise ConfigError(say(f"callback {name}", expected, event, hint))
    if not events:
        raise ConfigError(say("callbacks", f"objects with {' or '.join(EVENTS)}", name))


def log_reading(log: InteractionLog, *, exclude_seen: bool | None, protocol: str) -> None:
    """Log how much was read; as warnings, every damaged line and the hints.

    exclude_seen: whether top-n lists exclude the items of the history; None: as the log suggests.
    protocol: of the split.
    """
    counts = len(log.user_ids), len(log.item_ids), len(log.interactions.values)
    logger.info("read %s users, %s items, %s interactions", *(f"{n:,}" for n in counts))
    if log.times is None:
        logger.info("no times: the interactions of a user are in the given order")
    for line in log.bad_lines:
        logger.warning("damaged: %s", line)
    hints = reading_hints(log, exclude_seen=exclude_seen, protocol=protocol, is_command=False)
    for hint in hints:  # data-R88
        logger.warning("hint: %s", hint)


def send_warnings(lines: Iterable[str]) -> None:
    """Log warnings, which have no prefix: the level is the prefix."""
    for line in lines:
        logger.warning("%s", line)


class ProgressLog(Callback):
    """Logs the validations and the end of a training."""

    def __init__(self) -> None:
        self.settings: dict[str, object] = {}

    def on_start(self, config: dict[str, Any]) -> None:
        """Log the model and the run directory."""
        self.settings = config["settings"]
        run = config["run"] or "no run directory"
        logger.info("training of the model %s, %s", self.settings["model"], run)

    def on_validation(self, validation: Validation) -> None:
        """Log a validation."""
        step, loss, value, is_best = validation
        text = "" if value is None else f", {self.settings['metric']} {value:.4f}"
        best = ", best so far" if is_best else ""
        logger.info("step %d of %d, loss %.4f%s%s", step, self.settings["steps"], loss, text, best)

    def on_end(self, report: dict[str, Any] | None) -> None:
        """Log why the training ended, and warn if a baseline is above the model."""
        if report is None:
            logger.info("the training was stopped")
            return
        if "ended_by" in report:
            logger.info("ended at step %d by %s", report["steps"], report["ended_by"])
        send_warnings(report.get("baseline_warnings", ()))
