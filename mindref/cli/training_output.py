"""Run a training with progress, and print what was read, the report, or how to resume."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from mindref.cli.signals import (
    StopRequest,
    ignore_signals,
    signal_exit_code,
    stop_on_signals,
)
from mindref.cli.streams import (
    example_user_option,
    print_as_warnings,
    print_json,
    print_stderr,
    print_stdout,
    trust_option,
)
from mindref.cli.torchrun import resume_hint
from mindref.cli.tracking import loaded_trackers

if TYPE_CHECKING:
    from mindref.recommender.training.training_run import TrainingRun

SKIPPED_NOTES = ("users", "items", "interactions", "lines")  # printed elsewhere, or of no interest

NOTE_TEXTS = {
    "unknown_items": "items without a row in the item file",
    "unused_items": "rows of the item file without an interaction",
}


def train_and_report(trainer: TrainingRun, quiet: bool, as_json: bool) -> int:
    """Train with progress, print the report; return the exit code."""
    from mindref.cli import progress
    from mindref.recommender.callbacks import TrainingEvents, training_events

    step, used = trainer.state.moments.step, trainer.state.time.seconds
    events = TrainingEvents(loaded_trackers())
    print_as_warnings(trainer.warnings)
    is_finished = False
    try:
        with training_events(trainer, events):
            with (
                stop_requests(trainer) as stop,
                progress.show_progress(trainer.config, step, quiet, stop, used) as hooks,
            ):
                is_finished = events.train(trainer, hooks)
            if is_finished and not quiet:
                print_evaluation_start(trainer)
            summary = {"run": str(trainer.run), **trainer.evaluate()} if is_finished else None
        events.end(summary)
        if summary is None:
            step = trainer.state.moments.step
            last = "" if trainer.config.time_limit else f" of {trainer.config.steps}"
            when = f"at step {step}{last}; all is saved"
            return report_stop(trainer, when, stop.code)
    except KeyboardInterrupt as end:  # second Ctrl-C, or Ctrl-C during the evaluation
        fitted = "the model" if is_finished else "nothing"
        saved = "the state of the last validation" if trainer.family.by_steps else fitted
        when = f"{str(end) or 'at once'}; {saved} is saved"
        return report_stop(trainer, when, signal_exit_code(end))
    if as_json:
        print_json(summary)
    else:
        print_report(trainer, summary)
    return 0


def stop_requests(trainer: TrainingRun) -> AbstractContextManager[StopRequest]:
    """Let signals stop a training after its step; a fit has no steps, and ends at once."""
    return stop_on_signals() if trainer.family.by_steps else nullcontext(StopRequest())  # faults-R9


def print_evaluation_start(trainer: TrainingRun) -> None:
    """Print how many test cases are evaluated, which may take longer than the training."""
    count = len(trainer.prepared.split.test.users)
    if count and not trainer.family.reranks:
        most = trainer.config.test_users or count
        print_stderr(f"evaluating the model on {min(count, most):,} test cases")


def report_stop(trainer: TrainingRun, when: str, code: int) -> int:
    """Print how to resume; return the exit code of the signal."""
    ignore_signals()  # the state is saved
    print_stderr(f"Stopped {when}. {resume_hint(trainer)}")
    return code


def print_report(trainer: TrainingRun, summary: dict[str, Any]) -> None:
    """Print the metrics, the run directory and a suggested next command."""
    from mindref.cli import progress
    from mindref.cli.report_lines import report_lines

    run, best, words = str(trainer.run), "", ["mindref", "recall"]
    if trainer.family.reranks:
        progress.print_gains(summary)
        words += [summary["recall"], "--rerank", run]
    elif not summary["metrics"]:
        count = len(trainer.prepared.loaded.log.interactions.values)
        print_stdout(f"not evaluated: all {count:,} interactions are training data (--split none)")
        for line in progress.untrained_lines(summary["untrained"]):
            print_stdout(line)
        words += [run]
    else:
        progress.print_metrics(summary["metrics"]["test"], summary["cases"])
        for line in report_lines(summary):
            print_stdout(line)
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
        "time_limit": f"time limit of {config.time_limit:g} s",
    }
    reason = reasons[summary["ended_by"]]  # optimiser-R23
    if summary["ended_by"] == "time_limit" and summary["steps"] == 1:
        reason += " used up by the first step; set a longer --time-limit"
    return f"ended at step {summary['steps']}: {reason}"


def print_reading(log: Any, *, exclude_seen: bool = True) -> None:
    """Print the numbers of read, damaged and skipped lines, and hints, on standard error."""
    from mindref.data.readers.hints import reading_hints

    counts = (len(log.user_ids), len(log.item_ids), len(log.interactions.values))
    print_stderr("read {:,} users, {:,} items, {:,} interactions".format(*counts))
    notes = {name: n for name, n in log.notes.items() if n and name not in SKIPPED_NOTES}
    if notes:
        names = {name: NOTE_TEXTS.get(name, name.replace("_", " ")) for name in notes}
        listed = ", ".join(f"{n:,} {names[name]}" for name, n in notes.items())
        print_stderr(f"  {listed}")
    if log.times is None:
        print_stderr("  no times: the interactions of a user are in the order of the file")
    for line in log.bad_lines:
        print_stderr(f"  damaged: {line}")
    for hint in reading_hints(log, exclude_seen=exclude_seen, is_command=True):  # data-R88
        print_stderr(f"  hint: {hint}")
