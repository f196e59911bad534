"""Run a training with progress, and print what was read, the report, or how to resume."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from mindref.cli import signals
from mindref.cli.progress import is_terminal, progress_bar
from mindref.cli.streams import (
    example_user_option,
    print_as_warnings,
    print_json,
    print_stderr,
    print_stdout,
    trust_option,
)
from mindref.cli.torchrun import resume_hint
from mindref.config import Config
from mindref.models.din_config import DinConfig

if TYPE_CHECKING:
    from mindref.data.log import InteractionLog
    from mindref.recommender.trackers import TrackerCallback
    from mindref.recommender.training.trainer import TrainingRun
    from mindref.training.loop import Hooks, Validation

TrainingConfig = Config | DinConfig

SKIPPED_NOTES = ("users", "items", "interactions", "lines")  # printed elsewhere, or of no interest

NOTE_TEXTS = {
    "unknown_items": "items without a row in the item file",
    "unused_items": "rows of the item file without an interaction",
}


@contextmanager
def show_progress(
    config: TrainingConfig,
    *,
    first: int = 0,
    quiet: bool,
    stop: signals.StopRequest,
) -> Iterator[Hooks]:
    """Show a progress bar on a terminal, otherwise one line per validation; nothing if quiet.

    All output is on standard error. A family without training steps prints one line at the end.
    first: steps that the training has taken before.
    """
    from mindref.models.family import family_of
    from mindref.training.loop import Hooks

    if quiet:
        yield Hooks(stop=stop)
        return
    if not family_of(config.model).by_steps:
        yield Hooks(on_validation=lambda x: print_stderr(fitted_line(config, x)), stop=stop)
        return
    meter, best = TrainingMeter(config, first), ""
    if not is_terminal():
        yield Hooks(meter.add, lambda x: print_stderr(validation_line(config, x, meter)), stop)
        return
    with progress_bar(transient=False) as bar:
        bar.start(meter.position(first), total=config.steps)

        def on_step(step: int, loss: float) -> None:
            meter.add(step, loss)
            if step % 10 == 0 or step == config.steps:
                note = f"{meter.rate:>8,.0f} examples/s  loss {meter.loss:.4f}  {best}"
                bar.update(meter.position(step), step, f"{note} {meter.remaining_text}")

        def on_validation(validation: Validation) -> None:
            nonlocal best
            if validation.value is not None:
                best = validation_text(config, validation.value)
            bar.print_line(validation_line(config, validation, meter))

        yield Hooks(on_step, on_validation, stop)


class TrainingMeter:
    """Throughput in examples per second, remaining time, and a moving average of the loss.

    first: steps that the training has taken before.
    """

    def __init__(
        self,
        config: TrainingConfig,
        first: int,
        clock: Callable[[], float] = lambda: time.perf_counter(),
    ) -> None:
        self.config, self.clock = config, clock
        self.batch, self.first, self.started = config.batch, first, clock()
        self.step, self.loss = first, float("nan")
        self.compiled = self.started  # end of the first step, which may compile

    def add(self, step: int, loss: float) -> None:
        """Add a step with its loss. The loss has a weight of 2 % in the average."""
        if step == self.first + 1:
            self.compiled = self.clock()
        self.step = step
        self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss

    @property
    def rate(self) -> float:
        """Examples per second."""
        seconds = self.clock() - self.started  # faults-R12: a monotonic clock
        return (self.step - self.first) * self.batch / max(seconds, 1e-9)

    @property
    def steps_per_second(self) -> float:
        """Steps per second with validations, without the first step; 0 before the second step."""
        seconds = self.clock() - self.compiled
        return max(self.step - self.first - 1, 0) / max(seconds, 1e-9)

    @property
    def remaining_text(self) -> str:
        """The time of the remaining steps; empty if it is unknown or less than half a second."""
        rate, steps = self.steps_per_second, self.config.steps - self.step
        seconds = steps / rate if rate else 0.0  # optimiser-R20
        return f"{format_time(seconds)} left" if seconds > 0.5 else ""

    def position(self, step: int) -> str:
        """Return the step and the last step."""
        return f"step {step}/{self.config.steps}"


def format_time(seconds: float) -> str:
    """Return a time as text: 45s, 3m20s, 2h05m."""
    rounded = round(seconds)
    hours, minutes = rounded // 3600, rounded // 60
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{rounded % 60:02}s" if minutes else f"{rounded}s"


def validation_line(config: TrainingConfig, validation: Validation, meter: TrainingMeter) -> str:
    """Return the line of a validation: step, loss, throughput, metric."""
    words = [meter.position(validation.step), f"loss {validation.loss:.4f}"]
    words += [f"{meter.rate:,.0f} examples/s", *filter(None, [meter.remaining_text])]
    if validation.value is not None:
        words.append(f"validation {validation_text(config, validation.value)}")
    return "  ".join([*words, *(["best so far"] if validation.is_best else [])])


def fitted_line(config: TrainingConfig, validation: Validation) -> str:
    """Return the line of a fitted model, with the validation metric if there is one."""
    if validation.value is None:
        return "fitted"
    return f"fitted  validation {validation_text(config, validation.value)}"


def validation_text(config: TrainingConfig, value: float) -> str:
    """Return the name and the value of the validation metric; DIN has none."""
    return f"{config.metric} {value:.4f}" if isinstance(config, Config) else ""


def train_and_report(
    trainer: TrainingRun, trackers: Sequence[TrackerCallback], *, quiet: bool, as_json: bool
) -> int:
    """Train with progress, print the report; return the exit code."""
    from mindref.recommender.callbacks import TrainingEvents, training_events

    config, family, state = trainer.config, trainer.family, trainer.state
    first = state.moments.step
    events = TrainingEvents(trackers)
    print_as_warnings(trainer.warnings)
    stop, is_finished = signals.StopRequest(), False
    # a fit has no step after which it stops: a signal ends it at once
    handlers = signals.stop_on_signals(stop) if family.by_steps else nullcontext()  # faults-R9
    try:
        with training_events(trainer, events):
            with handlers, show_progress(config, first=first, quiet=quiet, stop=stop) as hooks:
                is_finished = events.train(trainer, hooks)
            cases = len(trainer.prepared.split.test.users)
            if is_finished and not quiet and cases and not family.reranks:
                cases = min(cases, config.test_users or cases)
                print_stderr(f"evaluating the model on {cases:,} test cases")
            summary = {"run": str(trainer.run), **trainer.evaluate()} if is_finished else None
        events.end(summary)
        if summary is None:
            step = trainer.state.moments.step
            when = f"at step {step} of {config.steps}; all is saved"
            return report_stop(trainer, when, stop.code)
    except KeyboardInterrupt as end:  # second Ctrl-C, or Ctrl-C during the evaluation
        fitted = "the model" if is_finished else "nothing"
        saved = "the state of the last validation" if family.by_steps else fitted
        when = f"{str(end) or 'at once'}; {saved} is saved"
        return report_stop(trainer, when, signals.signal_exit_code(end))
    if as_json:
        print_json(summary)
    else:
        print_report(trainer, summary)
    return 0


def report_stop(trainer: TrainingRun, when: str, code: int) -> int:
    """Print how to resume; return the exit code of the signal."""
    signals.ignore_signals()  # the state is saved
    print_stderr(f"Stopped {when}. {resume_hint(trainer)}")
    return code


def print_report(trainer: TrainingRun, summary: dict[str, Any]) -> None:
    """Print the metrics, the run directory and a suggested next command."""
    from mindref.cli import reports

    run, best, words = str(trainer.run), "", ["mindref", "recall"]
    if trainer.family.reranks:
        reports.print_gains(summary)
        words += [summary["recall"], "--rerank", run]
    elif not summary["metrics"]:
        count = len(trainer.prepared.loaded.log.interactions.values)
        print_stdout(f"not evaluated: all {count:,} interactions are training data (--split none)")
        print_stdout(*reports.model_lines(summary), *reports.untrained_lines(summary["untrained"]))
        words += [run]
    else:
        reports.print_metrics(summary["metrics"]["test"], summary["cases"])
        print_stdout(*reports.report_lines(summary))
        best = f"best at step {summary['best_step']}; " if trainer.family.by_steps else ""
        words += [run]
    ending = f" ({best}{end_text(trainer, summary)})" if trainer.family.by_steps else ""
    print_stdout(f"run: {run}{ending}")
    words += [example_user_option(trainer.prepared), *trust_option(trainer.backend_name)]
    print_stdout(f"next: {shlex.join(words)}")


def end_text(trainer: TrainingRun, summary: dict[str, Any]) -> str:
    """Return at which step and why a training ended."""
    config = trainer.config
    reasons = {
        "steps": "the last step",
        "patience": f"no improvement; --patience {config.patience}",
    }
    reason = reasons[summary["ended_by"]]  # optimiser-R19
    return f"ended at step {summary['steps']}: {reason}"


def print_reading(log: InteractionLog, *, exclude_seen: bool | None, protocol: str) -> None:
    """Print the numbers of read, damaged and skipped lines, and hints, on standard error."""
    from mindref.data.readers.advice import reading_hints

    counts = (len(log.user_ids), len(log.item_ids), len(log.interactions.values))
    print_stderr("read {:,} users, {:,} items, {:,} interactions".format(*counts))
    notes = {name: n for name, n in log.notes.items() if n and name not in SKIPPED_NOTES}
    if notes:
        names = {name: NOTE_TEXTS.get(name, name.replace("_", " ")) for name in notes}
        listed = ", ".join(f"{n:,} {names[name]}" for name, n in notes.items())
        print_stderr(f"  {listed}")
    if log.times is None:
        print_stderr("  no times: the interactions of a user are in the order of the file")
    print_stderr(*(f"  damaged: {line}" for line in log.bad_lines))
    hints = reading_hints(log, exclude_seen=exclude_seen, protocol=protocol, is_command=True)
    print_stderr(*(f"  hint: {hint}" for hint in hints))  # data-R88
