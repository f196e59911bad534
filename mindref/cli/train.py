"""mindref train: a log to a trained, judged model in a run directory."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli.reading import reading_of, reading_options
from mindref.cli.settings import (
    config_of,
    json_option,
    set_threads,
    settings_options,
    threads_option,
)
from mindref.errors import ConfigError, say

if TYPE_CHECKING:
    from mindref.recommender.run import Trainer

PROTOCOLS = ("leave_last_out", "paper", "comirec", "global_time")


@click.command("train", short_help="Train on a log, or on the built-in catalogue.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="A log: a file, or a folder with one."
)
@reading_options
@click.option(
    "--split",
    "protocol",
    type=click.Choice(PROTOCOLS),
    default="leave_last_out",
    show_default=True,
    help="How the log is split into training, validation and test.",
)
@click.option(
    "--exclude-seen/--include-seen",
    default=True,
    show_default=True,
    help="Rank only items that the user has not had, or all.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run directory to make [default: the next free runs/NNN].",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="Go on with a run that was stopped; its settings stay as they are.",
)
@settings_options
@threads_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
def command(
    data: Path | None,
    protocol: str,
    exclude_seen: bool,
    out: Path | None,
    resume: Path | None,
    preset: str | None,
    config_file: Path | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Train MIND on a log and judge it on users it was not told about.

    Without --data it trains on the built-in catalogue of an imaginary shop, whose users have
    planted interests. Everything ends up in a run directory; Ctrl-C saves there, and --resume goes
    on.
    """
    set_threads(threads)
    if resume is not None:
        reading = reading_of(given)
        refuse_changes(given | reading, preset, config_file, data, out)
        from mindref.recommender.run import resume as taken_up

        trainer = taken_up(resume)
    else:
        config = config_of(preset, config_file, given)
        trainer = new_trainer(data, reading_of(given), protocol, config, out, exclude_seen)
    return train(trainer, quiet, as_json)


def new_trainer(
    data: Path | None,
    reading: dict[str, Any],
    protocol: str,
    config: Any,
    out: Path | None,
    exclude_seen: bool,
) -> Trainer:
    """Check everything that can fail, read the log, and make the run directory."""
    from mindref.recommender.run import Trainer, check_free
    from mindref.recommender.source import Source

    run = out or next_free(Path("runs"))
    check_free(run)
    source = Source.of(data, reading)
    loaded = source.read()
    show_reading(loaded.log)
    trainer = Trainer(source, loaded, protocol, config, run, exclude_seen)
    trainer.create()
    return trainer


def train(trainer: Trainer, quiet: bool, as_json: bool) -> int:
    """Train with progress, then print the report; 130 when Ctrl-C stopped it."""
    from mindref.cli import show

    step = trainer.state.moments.step
    with show.listening() as stop, show.progress(trainer.config, step, quiet, stop) as hooks:
        outcome = trainer.go(hooks)
    if not outcome.finished:
        step = trainer.state.moments.step
        click.echo(
            f"Stopped at step {step} of {trainer.config.steps}; all is saved."
            f" Go on with: mindref train --resume {trainer.run}",
            err=True,
        )
        return 130
    summary = {"run": str(trainer.run), **trainer.judge()}
    if as_json:
        click.echo(json.dumps(summary))
        return 0
    show.metrics_table(summary["metrics"]["test"], summary["cases"])
    for line in show.interests_lines(summary["interests"]):
        click.echo(line)
    click.echo(f"run: {trainer.run} (best at step {summary['best_step']})")
    user = trainer.prepared.loaded.log.user_ids[int(trainer.prepared.split.test.users[0])]
    click.echo(f"next: mindref recall {trainer.run} --user {shlex.quote(user)}")
    return 0


def show_reading(log: Any) -> None:
    """Say on standard error what was read, and what of it was damaged."""
    notes = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in log.notes.items())
    counts = (len(log.user_ids), len(log.item_ids), len(log.events.values))
    words = "read {:,} users, {:,} items, {:,} events".format(*counts)
    click.echo(words + (f" ({notes})" if notes else ""), err=True)
    for line in getattr(log, "bad_lines", ()):
        click.echo(f"  damaged: {line}", err=True)


def next_free(folder: Path) -> Path:
    """Return runs/001, or the number after the last one there."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return folder / f"{max(taken, default=0) + 1:03d}"


def refuse_changes(
    given: dict[str, Any], preset: str | None, config_file: Path | None, *paths: Path | None
) -> None:
    """Raise ConfigError when --resume comes with settings: they would not be those of the run."""
    changed = [
        f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, ())
    ]
    if changed or preset or config_file or any(paths):
        got = ", ".join(changed) or "--preset, --config, --data or --out"
        raise ConfigError(say("--resume", "no other settings", got, "they are those of the run"))
