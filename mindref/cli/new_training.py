"""A new run of `mindref train`: preset, run directory, and the plan of --dry-run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli import settings
from mindref.cli.streams import print_json, print_stderr, print_stdout
from mindref.cli.training_output import print_reading
from mindref.config import Config
from mindref.errors import RunError, say
from mindref.process.memory import format_bytes
from mindref.training.distributed import Ranks

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.recommender.training.plan import TrainingPlan
    from mindref.recommender.training.trainer import Trainer

MOST_ATTEMPTS = 1000
"""Attempts to create the folder of a run, while other processes create theirs."""

MEMORY_PARTS = ("program", "log", "parameters", "evaluation")


def new_trainer(
    plan: TrainingPlan, out: Path | None, *, ranks: Ranks, backend: Backend, quiet: bool
) -> Trainer:
    """Return a trainer for a new run: check the settings, read the log."""
    from mindref.recommender.training.trainer import Trainer

    run = Path(ranks.broadcast_from_first(lambda: str(choose_run_directory(out))))
    check_usable(plan.config, backend, several=ranks.several)
    loaded = plan.source.read(plan.config)
    if ranks.first:
        print_reading(loaded.log, exclude_seen=plan.exclude_seen, protocol=plan.protocol)
    trainer = Trainer(replace(plan, run=run), loaded, backend=backend, ranks=ranks)
    trainer.check_alike()
    if plan.start is not None and not quiet and ranks.first:
        start = trainer.start_facts
        print_stderr(
            f"start from {plan.start.run}, step {start['step']}: {start['items']:,} items keep"
            f" their vectors, {start['new_items']:,} items are new"
        )
    return trainer


def check_usable(config: Config, backend: Backend, *, several: bool) -> None:
    """Raise ConfigError or BackendError, before the log is read, for unusable settings."""
    from mindref.models.family import check_trainable
    from mindref.recommender.evaluate_run import parse_metric

    check_trainable(backend, config, several=several)  # model-R39
    parse_metric(config.metric)


def print_dry_run(
    plan: TrainingPlan, out: Path | None, backend: Backend, *, ranks: Ranks, as_json: bool
) -> None:
    """Read and split the log, and print the plan of the training."""
    from mindref.run.checkpoint import check_free

    run = out or next_run_directory(Path("runs"))
    settings.check_writable("--out", run)
    check_free(run)
    check_usable(plan.config, backend, several=ranks.several)
    loaded = plan.source.read(plan.config)
    if plan.start is not None:
        plan.start.check_items(loaded.log)
    if not ranks.first:
        return
    print_reading(loaded.log, exclude_seen=plan.exclude_seen, protocol=plan.protocol)
    description = replace(plan, run=run).describe(loaded, backend.name)  # faults-R21
    if as_json:
        print_json(description)
    else:
        print_stdout(*plan_lines(description))


def plan_lines(description: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each part of a plan."""
    read, split, memory = description["read"], description["split"], description["memory"]
    yield "read: {log}: {users:,} users, {items:,} items, {interactions:,} interactions".format(
        **read
    )
    yield (
        "split: {protocol}: {interactions:,} training interactions in {sequences:,} sequences,"
        " {validation_cases:,} validation cases, {test_cases:,} test cases".format(**split)
    )
    if "start_from" in description:
        yield f"start: from the parameters of {description['start_from']}"
    yield f"train: {training_text(description['train'])}"
    yield f"write: {description['write']['run']}: {', '.join(description['write']['files'])}"
    parts = ", ".join(f"{name} {format_bytes(memory[name])}" for name in MEMORY_PARTS)
    total, available = format_bytes(memory["total"]), format_bytes(memory["available"])
    yield f"memory: about {total} ({parts}); {available} are available"
    yield "dry run: nothing was trained, and no file was written"


def training_text(training: dict[str, Any]) -> str:
    """Return preset, model and size of one training as text."""
    name = f"preset {training['preset']}, " if training["preset"] else ""
    text = f"{name}model {training['model']}"
    if "steps" not in training:
        return f"{text}, fitted in one pass"
    steps = f"{training['steps']:,} steps of {training['batch']:,} examples"
    return f"{text}, {steps}, {training['parameters']:,} parameters"


def choose_run_directory(out: Path | None) -> Path:
    """Return the run directory to create. Raises RunError or ConfigError if it is not usable."""
    from mindref.run.checkpoint import check_free

    settings.check_writable("--out", out or next_run_directory(Path("runs")))
    run = out or claim_run_directory(Path("runs"))
    check_free(run)
    return run


def claim_run_directory(folder: Path) -> Path:
    """Create runs/NNN with the next free number. Raises RunError if none can be created.

    When the command ends, folders that this function created are removed if they are empty.
    """
    from mindref.run import atomic

    with atomic.explain_errors(folder):
        created = [] if folder.exists() else [folder]
        for _ in range(MOST_ATTEMPTS):
            run = next_run_directory(folder)
            try:
                run.mkdir(parents=True)  # faults-R5: another process may have taken the number
            except (FileExistsError, FileNotFoundError):
                continue
            close = partial(remove_empty_folders, [run, *created])
            click.get_current_context().call_on_close(close)
            return run
    got = f"another folder at each of {MOST_ATTEMPTS:,} attempts"
    raise RunError(say(str(folder), "a folder for a new run", got, "name it with --out"))


def remove_empty_folders(folders: Sequence[Path]) -> None:
    """Remove each folder that is empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def next_run_directory(folder: Path) -> Path:
    """Return runs/NNN with the next number after the existing runs, from 001. Raises OSError."""
    names = os.listdir(folder) if folder.is_dir() else []
    taken = [int(name) for name in names if name.isdecimal()]
    return folder / f"{max(taken, default=0) + 1:03d}"
