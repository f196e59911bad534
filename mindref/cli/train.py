"""mindref train: train a model on a log, evaluate it, and store it in a run directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mindref.cli import reranker, run_settings, settings
from mindref.cli.dry_run import print_dry_run, reject_dry_run
from mindref.cli.locking import lock_folder
from mindref.cli.new_training import choose_run_directory, new_trainer
from mindref.cli.reading_options import reading_options, take_reading
from mindref.cli.streams import print_stderr
from mindref.cli.torchrun import (
    exit_immediately,
    explain_lost_process,
    make_trainer,
    report_in_first_process,
    train_silently,
)
from mindref.cli.tracking import load_trackers, track_option
from mindref.cli.training_output import train_and_report
from mindref.config import Config
from mindref.data.protocols import PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.models.registry import is_reranker
from mindref.presets import AUTO
from mindref.process.threads import BLAS_THREAD_VARIABLES
from mindref.training.distributed import Ranks, join_ranks

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.recommender.training.trainer import Trainer


@dataclass(frozen=True)
class TrainOptions:
    """The options of `mindref train`, without reading options and settings."""

    data: Path | None
    protocol: str | None
    exclude_seen: bool | None
    out: Path | None
    resume: Path | None
    steps_of: Path | None
    start_from: Path | None
    keep_moments: bool
    recall: Path | None
    preset: str | None
    config_file: Path | None
    device: str
    threads: int | None
    dry_run: bool
    quiet: bool
    as_json: bool

    def of_earlier_run(self) -> dict[str, object]:
        """Return option -> value of what an earlier run determines, None where not given."""
        return {
            "split": self.protocol,
            "exclude_seen": self.exclude_seen,
            "preset": self.preset,
            "steps_of": self.steps_of,
            "start_from": self.start_from,
            "keep_moments": self.keep_moments or None,
        }


@dataclass(frozen=True)
class TrainRequest:
    """Options of `mindref train`, reading options, and settings: None for one not given."""

    options: TrainOptions
    reading: dict[str, object]
    settings: dict[str, object]

    @property
    def backend(self) -> str | None:
        """The named backend, if any. DIN has no such setting: its backend is that of --recall."""
        name = self.settings["backend"]
        return None if name is None else str(name)

    def settings_without_backend(self) -> dict[str, object]:
        """Return the settings of DIN."""
        return {name: value for name, value in self.settings.items() if name != "backend"}

    def run_options(self) -> dict[str, object]:
        """Return option -> value of what a run stores, None where not given."""
        options = self.options
        return {**options.of_earlier_run(), "out": options.out, "config": options.config_file}


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
@click.option(
    "--steps-of", type=settings.FOLDER, metavar="RUN",
    help="With --split none: train like the finished run RUN, for the steps of its best"
    " validation, on all interactions. Log, settings and seen items are those of RUN unless"
    " they are given.",
)  # fmt: skip
@click.option(
    "--start-from", type=settings.FOLDER, metavar="RUN",
    help="Start from the parameters of the run RUN instead of random ones. Items keep their"
    " vectors; new items start at the vector of their features, or at the mean. Log, split,"
    " settings and seen items are those of RUN unless they are given.",
)  # fmt: skip
@click.option(
    "--keep-moments", is_flag=True,
    help="With --start-from: also keep the moments of Adam [default: they start at zero].",
)  # fmt: skip
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
@settings.collect_options(TrainOptions)
def train_command(options: TrainOptions, **parameters: object) -> int:
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
    return report_in_first_process(lambda: start_training(options, parameters))


def start_training(options: TrainOptions, parameters: dict[str, object]) -> int:
    """Resume a training, train a reranker, or train a new run; return the exit code.

    parameters: reading options and settings.
    """
    request = TrainRequest(options, take_reading(parameters), parameters)
    resume = request.options.resume
    trains_reranker = is_reranker(request.settings["model"])
    if request.options.dry_run and (resume is not None or trains_reranker):
        reject_dry_run("--resume" if resume is not None else "--model din")
    if resume is not None:
        if run_settings.is_reranker_run(resume):
            return resume_din(resume, request)
        return resume_training(resume, request)
    return train_din(request) if trains_reranker else train_new(request)


def train_new(request: TrainRequest) -> int:
    """Train a new run, or print its plan; return the exit code."""
    options, reading = request.options, request.reading
    reranker.reject_reranker_options(options.recall, request.settings)
    preset, changes = settings.read_changes(options.preset, options.config_file, request.settings)
    if preset == AUTO and "model" in changes:
        raise ConfigError(say("--preset auto", "no --model", changes["model"]))
    earlier_run = options.steps_of or options.start_from
    default = Config.backend if earlier_run is None else run_settings.run_backend(earlier_run)
    backend_name = str(changes.get("backend", default))
    settings.set_threads(options.threads, backend_name)
    if options.data is None and reading:
        got = ", ".join(reading)
        raise ConfigError(say("--data", "a log for the reading options", f"none, but {got}"))
    from mindref.recommender.training.plan import plan_training

    plan = plan_training(
        preset,
        changes,
        options.data,
        reading,
        protocol=options.protocol,
        exclude_seen=options.exclude_seen,
        steps_of=options.steps_of,
        start_from=options.start_from,
        keep_moments=options.keep_moments,
    )
    backend, ranks = join_processes(backend_name, options)
    if options.dry_run:
        return print_dry_run(
            plan, changes, options.out, backend, ranks=ranks, as_json=options.as_json
        )
    make = partial(
        new_trainer,
        plan,
        changes,
        options.out,
        ranks=ranks,
        backend=backend,
        quiet=options.quiet,
        device=options.device,
    )
    return run_training(make_trainer(ranks, make, create_run), options)


def resume_training(run: Path, request: TrainRequest) -> int:
    """Continue a stopped training; return the exit code. No setting can be changed."""
    options, name = request.options, run_settings.run_backend(run)
    changed = {**request.run_options(), **request.settings, "recall": options.recall}
    if request.backend == name:  # not a change: the user trusts the code of this backend
        del changed["backend"]
    else:
        from mindref.backend import check_installed

        check_installed(name, f"{run}: backend")
    settings.set_threads(run_settings.run_threads(run, options.threads), name)
    reject_changed_settings(changed, request.reading)
    from mindref.recommender.training.trainer import resume_run

    backend, ranks = join_processes(name, options)

    def make() -> Trainer:
        if ranks.first:
            lock_folder(run)
        return resume_run(run, options.data, options.device, ranks, backend)

    return run_training(make_trainer(ranks, make), options)


def train_din(request: TrainRequest) -> int:
    """Train DIN on the candidates of a recall run; return the exit code."""
    options = request.options
    trainer = reranker.new_reranker(
        options.recall,
        partial(choose_run_directory, options.out),
        reranker.reranker_config(options.config_file, request.settings_without_backend()),
        options.of_earlier_run() | request.reading,
        options.threads,
        data=options.data,
        device=options.device,
        backend=request.backend,
    )
    return train_and_report(trainer, quiet=options.quiet, as_json=options.as_json)


def resume_din(run: Path, request: TrainRequest) -> int:
    """Continue a stopped training of DIN; return the exit code."""
    options = request.options
    changed = {**request.run_options(), **request.settings_without_backend()}
    reject_changed_settings(changed, request.reading)
    trainer = reranker.resumed_reranker(
        run,
        options.recall,
        options.threads,
        data=options.data,
        device=options.device,
        backend=request.backend,
    )
    return train_and_report(trainer, quiet=options.quiet, as_json=options.as_json)


def create_run(trainer: Trainer) -> None:
    """Create and lock the run directory."""
    if trainer.run is not None and not trainer.preset_choice.get("values"):
        lock_folder(trainer.run, make=True)  # locked before the choice of the preset, if any
    trainer.create()


def join_processes(name: str, options: TrainOptions) -> tuple[Backend, Ranks]:
    """Return the backend and the processes of this training; print their number. Load trackers.

    Raises BackendError if the backend or the device is not available, ConfigError for a tracker.
    """
    from mindref.backend import load_backend

    load_trackers()
    backend = load_backend(name, options.device)
    ranks = join_ranks(backend)
    if ranks.several and ranks.first and not options.quiet:
        threads = os.environ.get(BLAS_THREAD_VARIABLES[0])
        print_stderr(f"{ranks.world} processes share each batch, {threads} threads each")
    return backend, ranks


def run_training(trainer: Trainer, options: TrainOptions) -> int:
    """Train in one process or in several; return the exit code."""
    if not trainer.ranks.first:
        exit_immediately(train_silently(trainer))
    with explain_lost_process(trainer):
        code = train_and_report(trainer, quiet=options.quiet, as_json=options.as_json)
    if trainer.ranks.several:
        exit_immediately(code)
    return code


def reject_changed_settings(
    parameters: Mapping[str, object], reading: Mapping[str, object]
) -> None:
    """Raise ConfigError if --resume is combined with settings: a run keeps its settings."""
    changed = [
        f"--{name.replace('_', '-')}" for name, x in parameters.items() if x not in (None, ())
    ]
    if changed or reading:
        got = ", ".join(changed) or "reading options"
        raise ConfigError(say("--resume", "no other settings", got, "a run keeps its settings"))
