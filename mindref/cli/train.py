"""mindref train: train a model on a log, evaluate it, and store it in a run directory."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli import earlier, reranker, run_settings, settings
from mindref.cli.dry_run import print_dry_run, reject_dry_run
from mindref.cli.locking import lock_folder
from mindref.cli.new_training import choose_run_directory, new_trainer
from mindref.cli.reading_options import reading_options, take_reading
from mindref.cli.streams import print_stderr
from mindref.cli.torchrun import (
    exit_immediately,
    explain_lost_process,
    first_process_reports,
    make_trainer,
    train_silently,
)
from mindref.cli.tracking import load_trackers, track_option
from mindref.cli.training_output import train_and_report
from mindref.data.protocols import PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.models.registry import is_reranker
from mindref.presets import AUTO
from mindref.process.threads import BLAS_THREAD_VARIABLES
from mindref.training.distributed import Ranks, join_ranks

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.recommender.training.trainer import Trainer


@click.command("train", short_help="Train a model on a log, or on the built-in catalogue.")
@click.option("--data", type=settings.PATH, help="Log to read: a file, or a folder with one log.")
@reading_options
@click.option(
    "--split", "protocol", type=click.Choice(PROTOCOLS),
    help="Protocol that splits the log into training, validation and test data (specs/data.md);"
    " none: all interactions are training data, and nothing is evaluated [default: leave_last_out;"
    " with --preset paper: paper].",
)  # fmt: skip
@click.option(
    "--exclude-seen/--include-seen", default=None,
    help="Whether top-n lists exclude the items of the user's history [default: exclude].",
)  # fmt: skip
@click.option(
    "--out", type=settings.FOLDER, help="Run directory to create [default: runs/001, runs/002...]."
)
@click.option(
    "--resume", type=settings.FOLDER, metavar="RUN",
    help="Resume the stopped run RUN. Settings cannot be changed. If the log has moved, give the"
    " new path of the log with --data.",
)  # fmt: skip
@earlier.earlier_options
@click.option(
    "--recall", type=settings.FOLDER, metavar="RUN",
    help="With --model din: DIN reranks the top items of the run RUN, and uses its log and split.",
)  # fmt: skip
@track_option
@partial(settings.settings_options, trains=True)
@settings.device_option
@settings.threads_option
@click.option(
    "--dry-run", is_flag=True,
    help="Read and split the log, print what would be trained and written with an estimate of the"
    " memory, and train nothing.",
)  # fmt: skip
@settings.quiet_option
@settings.json_option
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
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Train a model on a log and evaluate it on held-out interactions.

    Without --preset and --model, the training of the presets best and sparse begins, and the one
    with the better validation metric continues. Without --data, the built-in synthetic log is used.
    All files are written to a run directory. Ctrl-C saves the state and stops the training, except
    during the choice of the preset. --resume RUN continues the training.

    --model din --recall RUN trains DIN, which reranks the top items of RUN. DIN is stored in a new
    run directory, DIN_RUN. mindref recall RUN --rerank DIN_RUN then prints reranked items.

    With the backend torch, several processes can compute one training. Each process computes a part
    of every batch. Command: torchrun --nproc-per-node N -m mindref train --backend torch ...
    """
    reading = take_reading(options)
    begin = earlier.take_earlier(options)
    choices = {"split": protocol, "exclude_seen": exclude_seen, "preset": preset, **begin}
    if dry_run and (resume is not None or is_reranker(options["model"])):
        reject_dry_run("--resume" if resume is not None else "--model din")
    if resume is not None:
        changes = {**choices, "out": out, "config": config_file, **options}
        inputs: dict[str, Any] = {"data": data, "device": device, "quiet": quiet}
        return resume_training(resume, recall, changes, reading, threads, **inputs, as_json=as_json)
    if is_reranker(options["model"]):
        # the backend is that of the recall run; DIN has no such setting
        inputs = {"data": data, "device": device, "backend": options.pop("backend")}
        din_config = reranker.reranker_config(config_file, options)
        new_run, unused = partial(choose_run_directory, out), choices | reading
        din_trainer = reranker.new_reranker(recall, new_run, din_config, unused, threads, **inputs)
        return train_and_report(din_trainer, quiet, as_json)
    reranker.reject_reranker_options(recall, options)
    preset_name, changes = settings.read_changes(preset, config_file, options)
    if preset_name == AUTO and "model" in changes:
        raise ConfigError(say("--preset auto", "no --model", changes["model"]))
    name = str(changes.get("backend", earlier.earlier_backend(begin)))
    settings.set_threads(threads, name)
    if data is None and reading:
        got = ", ".join(reading)
        raise ConfigError(say("--data", "a log for the reading options", f"none, but {got}"))
    from mindref.recommender.training.plan import plan_training

    inputs = {"protocol": protocol, "exclude_seen": exclude_seen, **begin}
    plan = plan_training(preset_name, changes, data, reading, **inputs)
    backend, ranks = join_processes(name, device, quiet)
    if dry_run:
        inputs = {"ranks": ranks, "as_json": as_json}
        return print_dry_run(plan, changes, out, backend, **inputs)
    inputs = {"device": device, "ranks": ranks, "backend": backend, "quiet": quiet}
    make = partial(new_trainer, plan, changes, out, **inputs)
    return run_training(make_trainer(ranks, make, create_run), quiet, as_json)


def resume_training(
    run: Path,
    recall: Path | None,
    changes: dict[str, Any],
    reading: dict[str, Any],
    threads: int | None,
    *,
    data: Path | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Continue a stopped training; return the exit code. No setting can be changed."""
    if run_settings.is_reranker_run(run):
        trusted = changes.pop("backend")  # compared with the backend of the recall run
        reject_changed_settings(changes, reading)
        inputs: dict[str, Any] = {"data": data, "device": device, "backend": trusted}
        din_trainer = reranker.resumed_reranker(run, recall, threads, **inputs)
        return train_and_report(din_trainer, quiet, as_json)
    name = run_settings.run_backend(run)
    if changes["backend"] == name:  # not a change: the user trusts the code of this backend
        del changes["backend"]
    else:
        from mindref.backend import check_installed

        check_installed(name, f"{run}: backend")
    settings.set_threads(run_settings.run_threads(run, threads), name)
    reject_changed_settings({**changes, "recall": recall}, reading)
    from mindref.recommender.training.trainer import resume_run

    backend, ranks = join_processes(name, device, quiet)

    def make() -> Trainer:
        if ranks.first:
            lock_folder(run)
        return resume_run(run, data, device, ranks, backend)

    return run_training(make_trainer(ranks, make), quiet, as_json)


def create_run(trainer: Trainer) -> None:
    """Create and lock the run directory."""
    if trainer.run is not None and not trainer.preset_choice.get("values"):
        lock_folder(trainer.run, make=True)  # locked before the choice of the preset, if any
    trainer.create()


def join_processes(name: str, device: str, quiet: bool) -> tuple[Backend, Ranks]:
    """Return the backend and the processes of this training; print their number. Load trackers.

    Raises BackendError if the backend or the device is not available, ConfigError for a tracker.
    """
    from mindref.backend import load_backend

    load_trackers()
    backend = load_backend(name, device)
    ranks = join_ranks(backend)
    if ranks.several and ranks.first and not quiet:
        threads = os.environ.get(BLAS_THREAD_VARIABLES[0])
        print_stderr(f"{ranks.world} processes share each batch, {threads} threads each")
    return backend, ranks


def run_training(trainer: Trainer, quiet: bool, as_json: bool) -> int:
    """Train in one process or in several; return the exit code."""
    if not trainer.ranks.first:
        exit_immediately(train_silently(trainer))
    with explain_lost_process(trainer):
        code = train_and_report(trainer, quiet, as_json)
    if trainer.ranks.several:
        exit_immediately(code)
    return code


def reject_changed_settings(options: dict[str, Any], reading: dict[str, Any]) -> None:
    """Raise ConfigError if --resume is combined with settings: a run keeps its settings."""
    changed = [f"--{name.replace('_', '-')}" for name, x in options.items() if x not in (None, ())]
    if changed or reading:
        got = ", ".join(changed) or "reading options"
        raise ConfigError(say("--resume", "no other settings", got, "a run keeps its settings"))
