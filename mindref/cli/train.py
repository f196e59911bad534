"""mindref train: train a model on a log, evaluate it, and store it in a run directory."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli import reranker
from mindref.cli.locking import lock_folder, with_folder_lock
from mindref.cli.reading_options import reading_options, take_reading
from mindref.cli.settings import (
    check_writable,
    config_from_options,
    device_option,
    is_reranker_run,
    json_option,
    run_backend,
    run_threads,
    set_threads,
    threads_option,
    training_options,
)
from mindref.cli.signals import ignore_signals, signal_exit_code, stop_on_signals
from mindref.cli.stderr import example_user_option, print_stderr, trust_option
from mindref.cli.torchrun import (
    exit_immediately,
    explain_lost_process,
    first_process_reports,
    make_trainer,
    resume_hint,
    train_silently,
)
from mindref.data.protocols import PROTOCOLS
from mindref.errors import ConfigError, printable, say
from mindref.models.registry import is_reranker
from mindref.process.threads import BLAS_THREAD_VARIABLES
from mindref.training.distributed import Ranks, join_ranks

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.config import Config
    from mindref.recommender.trainer import Trainer
    from mindref.recommender.training_run import TrainingRun

SKIPPED_NOTES = ("users", "items", "interactions", "lines")  # printed elsewhere, or of no interest


@click.command("train", short_help="Train a model on a log, or on the built-in catalogue.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The log: a file, or a folder with one log."
)
@reading_options
@click.option(
    "--split",
    "protocol",
    type=click.Choice(PROTOCOLS),
    help="Protocol that splits the log into training, validation and test [default:"
    " leave_last_out].",
)
@click.option(
    "--exclude-seen/--include-seen",
    default=None,
    help="Exclude items of the user's history from the top-n lists [default: exclude].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run directory to create [default: the next free runs/NNN].",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="Resume a stopped run. Its settings cannot be changed. If the log has moved, give its new"
    " location with --data.",
)
@click.option(
    "--recall",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="With --model din: the run whose candidates DIN reranks. DIN uses its log and split.",
)
@training_options
@device_option
@threads_option
@click.option("--quiet", is_flag=True, help="Print no progress on standard error.")
@json_option
@first_process_reports
def train_command(
    data: Path | None,
    protocol: str | None,
    exclude_seen: bool | None,
    out: Path | None,
    resume: Path | None,
    recall: Path | None,
    preset: str | None,
    config_file: Path | None,
    device: str,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Train a model on a log and evaluate it on held-out interactions.

    The default model is MIND. Without --data the model is trained on a built-in synthetic catalogue
    with planted user interests. All files are stored in a run directory. Ctrl-C saves the state;
    --resume continues the training.

    --model din trains DIN, a reranker for the candidates of --recall RUN. It has a run directory of
    its own. Use it with mindref recall RUN --rerank DIN_RUN.

    Several processes can share the training if the backend supports it. Each process computes a
    part of every batch: torchrun --nproc-per-node N -m mindref train --backend torch ...
    """
    reading = take_reading(options)
    choices = {"split": protocol, "exclude_seen": exclude_seen, "preset": preset}
    flags = device, threads, quiet, as_json
    if resume is not None:
        changes = {**choices, "out": out, "config": config_file, **options}
        if is_reranker_run(resume):
            trusted = changes.pop("backend")  # compared with the backend of the recall run
            refuse_changed_settings(changes, reading)
            return reranker.resume_reranker_training(resume, recall, data, *flags, trusted)
        name = run_backend(resume)
        if changes["backend"] == name:  # not a change: the user trusts the code of this backend
            del changes["backend"]
        else:
            from mindref.backend import check_installed

            check_installed(name, f"{resume}: backend")
        set_threads(run_threads(resume, threads), name)
        refuse_changed_settings({**changes, "recall": recall}, reading)
        from mindref.recommender.trainer import resume_run as resume_trainer

        backend, ranks = join_processes(name, device, quiet)
        make = partial(resume_trainer, resume, data, device, ranks, backend)
        trainer = make_trainer(ranks, with_folder_lock(resume, make) if ranks.first else make)
        return run_training(trainer, quiet, as_json)
    if is_reranker(options["model"]):
        trusted = options.pop("backend")  # of the recall run; DIN has no such setting
        din_config = reranker.reranker_config(config_file, options)
        new_run, unused = partial(choose_run_directory, out), choices | reading
        return reranker.start_reranker_training(
            recall, new_run, din_config, data, *flags, unused, trusted
        )
    reranker.refuse_reranker_options(recall, options)
    config = config_from_options(preset, config_file, options)
    set_threads(threads, config.backend)
    if data is None and reading:
        got = ", ".join(reading)
        raise ConfigError(say("--data", "a log for the reading options", f"none, but {got}"))
    split = protocol or PROTOCOLS[0]
    backend, ranks = join_processes(config.backend, device, quiet)
    make = partial(
        new_trainer,
        *(data, reading, split, config, out, exclude_seen is not False, device, ranks, backend),
    )
    return run_training(make_trainer(ranks, make, create_run), quiet, as_json)


def create_run(trainer: Trainer) -> None:
    """Create and lock the run directory."""
    if trainer.run is not None:
        lock_folder(trainer.run, make=True)
    trainer.create()


def join_processes(name: str, device: str, quiet: bool) -> tuple[Backend, Ranks]:
    """Return the backend and the processes of this training; print their number.

    Raises BackendError if the backend or the device is not available.
    """
    from mindref.backend import load_backend

    backend = load_backend(name, device)
    ranks = join_ranks(backend)
    if ranks.several and ranks.first and not quiet:
        threads = os.environ.get(BLAS_THREAD_VARIABLES[0])
        print_stderr(f"{ranks.world} processes share each batch, {threads} threads each")
    return backend, ranks


def new_trainer(
    data: Path | None,
    reading: dict[str, Any],
    protocol: str,
    config: Config,
    out: Path | None,
    exclude_seen: bool,
    device: str,
    ranks: Ranks,
    backend: Backend,
) -> Trainer:
    """Return a trainer for a new run: check the settings, read the log."""
    from mindref.models.family import check_trainable
    from mindref.recommender.evaluate_run import parse_metric
    from mindref.recommender.trainer import Trainer
    from mindref.run.source import Source

    run = Path(ranks.told(lambda: str(choose_run_directory(out))))
    parse_metric(config.metric)
    check_trainable(backend, config, several=ranks.several)  # model-R39
    source = Source.of(data, reading)
    loaded = source.read()
    if ranks.first:
        print_reading(loaded.log)
    return Trainer(source, loaded, protocol, config, run, exclude_seen, device, ranks, backend)


def choose_run_directory(out: Path | None) -> Path:
    """Return the run directory to create. Raises RunError or ConfigError if it is not usable."""
    from mindref.run.folder import check_free

    run = out or next_run_directory(Path("runs"))
    check_free(run)
    check_writable("--out", run)
    return run


def run_training(trainer: Trainer, quiet: bool, as_json: bool) -> int:
    """Train in one process or in several; return the exit code."""
    if not trainer.ranks.first:
        exit_immediately(train_silently(trainer))
    with explain_lost_process(trainer):
        code = train_and_report(trainer, quiet, as_json)
    if trainer.ranks.several:
        exit_immediately(code)
    return code


def train_and_report(
    trainer: TrainingRun,
    quiet: bool,
    as_json: bool,
    print_result: Callable[[Any, dict[str, Any]], None] | None = None,
) -> int:
    """Train with progress, print the report; return the exit code."""
    from mindref.cli import progress

    step = trainer.state.moments.step
    try:
        with (
            stop_on_signals() as stop,
            progress.show_progress(trainer.config, step, quiet, stop) as hooks,
        ):
            outcome = trainer.train(hooks)
        if not outcome.finished:
            step = trainer.state.moments.step
            when = f"at step {step} of {trainer.config.steps}; all is saved"
            return report_stop(trainer, when, stop.code)
        summary = {"run": str(trainer.run), **trainer.evaluate()}
    except KeyboardInterrupt as end:  # second Ctrl-C, or Ctrl-C during the evaluation
        when = f"{str(end) or 'at once'}; the last epoch is saved"
        return report_stop(trainer, when, signal_exit_code(end))
    if as_json:
        click.echo(json.dumps(summary))
    else:
        (print_result or print_report)(trainer, summary)
    return 0


def report_stop(trainer: TrainingRun, when: str, code: int) -> int:
    """Print how to resume; return the exit code of the signal."""
    ignore_signals()  # the state is saved
    print_stderr(f"Stopped {when}. {resume_hint(trainer)}")
    return code


def print_report(trainer: TrainingRun, summary: dict[str, Any]) -> None:
    """Print the metrics, the run directory and a suggested next command."""
    from mindref.cli import progress

    progress.print_metrics(summary["metrics"]["test"], summary["cases"])
    for line in progress.interests_lines(summary["interests"]):
        click.echo(line)
    best = f" (best at step {summary['best_step']})" if trainer.family.by_steps else ""
    click.echo(f"run: {trainer.run}{best}")
    words = ["mindref", "recall", str(trainer.run), example_user_option(trainer.prepared)]
    click.echo(f"next: {printable(shlex.join([*words, *trust_option(trainer.backend_name)]))}")


def print_reading(log: Any) -> None:
    """Print on standard error how much was read, and what was damaged or skipped."""
    counts = (len(log.user_ids), len(log.item_ids), len(log.interactions.values))
    print_stderr("read {:,} users, {:,} items, {:,} interactions".format(*counts))
    notes = {name: n for name, n in log.notes.items() if n and name not in SKIPPED_NOTES}
    if notes:
        listed = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in notes.items())
        print_stderr(f"  {listed}")
    if log.times is None:
        print_stderr("  no times: the interactions of a user are in the order of the file")
    for line in log.bad_lines:
        print_stderr(f"  damaged: {line}")


def next_run_directory(folder: Path) -> Path:
    """Return runs/NNN with the next number after the existing runs, from 001."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return folder / f"{max(taken, default=0) + 1:03d}"


def refuse_changed_settings(options: dict[str, Any], reading: dict[str, Any]) -> None:
    """Raise ConfigError if --resume is combined with settings: a run keeps its own."""
    changed = [f"--{name.replace('_', '-')}" for name, x in options.items() if x not in (None, ())]
    if changed or reading:
        got = ", ".join(changed) or "reading options"
        raise ConfigError(say("--resume", "no other settings", got, "a run keeps its settings"))
