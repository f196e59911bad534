"""mindref train: a log to a trained, judged model in a run directory."""

from __future__ import annotations

import json
import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli import ranking
from mindref.cli.claims import claim, claimed
from mindref.cli.ending import code_of, ignore, listening
from mindref.cli.processes import accountable, begin, follow, how_to_go_on, one_voice, vanish
from mindref.cli.reading import reading_of, reading_options
from mindref.cli.settings import (
    DIN,
    backend_of,
    check_writable,
    config_of,
    device_option,
    is_ranking,
    json_option,
    set_threads,
    threads_of,
    threads_option,
    training_options,
)
from mindref.cli.telling import somebody, tell, trusting
from mindref.errors import ConfigError, printable, say
from mindref.process.threads import PRODUCTS
from mindref.training.distributed import Ranks, join

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.config import Config
    from mindref.recommender.run import Trainer

PLAIN_NOTES = ("users", "items", "events", "lines")  # said in the first line, or of no interest
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
    help="How the log is split into training, validation and test [default: leave_last_out].",
)
@click.option(
    "--exclude-seen/--include-seen",
    default=None,
    help="Rank only items that the user has not had, or all [default: exclude].",
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
    help="Go on with a run that was stopped; its settings stay as they are. --data says where its"
    " log lies now, if it has moved.",
)
@click.option(
    "--recall",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="The run whose candidates --model din learns to rank; its log and split are taken.",
)
@training_options
@device_option
@threads_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
@one_voice
def command(
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
    **given: Any,
) -> int:
    """Train a model on a log, and judge it on behaviours that it was not told about.

    The model is MIND, unless --model names another family. Without --data it trains on the
    built-in catalogue of an imaginary shop, whose users have planted interests. Everything ends up
    in a run directory; Ctrl-C saves there, and --resume goes on.

    --model din is the ranking stage: it learns to put in order what --recall RUN lists, and has a
    run directory of its own, for mindref recall RUN --rerank.

    Several processes can share a training, each of them a part of every batch, where the backend
    can: torchrun --nproc-per-node N -m mindref train --backend torch ...
    """
    reading = reading_of(given)
    decided = {"split": protocol, "exclude_seen": exclude_seen, "preset": preset}
    if resume is not None:
        others = {**decided, "out": out, "config": config_file, **given}
        if is_ranking(resume):
            asked = others.pop("backend")  # looked at beside the recall run
            refuse_changes(others, reading)
            shown = device, threads, quiet, as_json
            return ranking.go_on(resume, recall, data, *shown, asked)
        name = backend_of(resume)
        if others["backend"] == name:  # no other setting: it says that this code is trusted
            del others["backend"]
        else:
            from mindref.backend import check_installed

            check_installed(name, f"{resume}: backend")
        set_threads(threads_of(resume, threads), name)
        refuse_changes({**others, "recall": recall}, reading)
        from mindref.recommender.run import resume as taken_up

        backend, ranks = joined(name, device, quiet)
        make = partial(taken_up, resume, data, device, ranks, backend)
        trainer = begin(ranks, claimed(resume, make) if ranks.first else make)
        return train(trainer, quiet, as_json)
    if given["model"] == DIN:
        asked = given.pop("backend")  # of the recall run: no setting of din
        stage, place = ranking.config_of(config_file, given), partial(free_place, out)
        shown = device, threads, quiet, as_json
        return ranking.start(recall, place, stage, data, *shown, decided | reading, asked)
    ranking.refuse_without(recall, given)
    config = config_of(preset, config_file, given)
    set_threads(threads, config.backend)
    if data is None and reading:
        got = ", ".join(reading)
        raise ConfigError(say("--data", "a log for the options of reading", f"none, but {got}"))
    split = protocol or PROTOCOLS[0]
    backend, ranks = joined(config.backend, device, quiet)
    asked = (data, reading, split, config, out, exclude_seen is not False, device, ranks, backend)
    trainer = begin(ranks, partial(new_trainer, *asked), create)
    return train(trainer, quiet, as_json)


def create(trainer: Trainer) -> None:
    """Make the run directory, with nobody else at work there."""
    if trainer.run is not None:
        claim(trainer.run, make=True)
    trainer.create()


def joined(name: str, device: str, quiet: bool) -> tuple[Backend, Ranks]:
    """Return a backend and the processes that it has joined; say how many on standard error.

    Raises BackendError for a backend that is not there, or not on this device.
    """
    from mindref.backend import load

    backend = load(name, device)
    ranks = join(backend)
    if ranks.several and ranks.first and not quiet:
        threads = os.environ.get(PRODUCTS[0])
        tell(f"{ranks.world} processes share each batch, {threads} threads each")
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
    """Check everything that can fail, and read the log."""
    from mindref.models import families
    from mindref.recommender.judging import split_metric
    from mindref.recommender.run import Trainer
    from mindref.run.source import Source

    run = Path(ranks.told(lambda: str(free_place(out))))
    split_metric(config.metric)
    families.check(backend, config, several=ranks.several)  # model-R39
    source = Source.of(data, reading)
    loaded = source.read()
    if ranks.first:
        show_reading(loaded.log)
    given = (source, loaded, protocol, config, run, exclude_seen, device, ranks, backend)
    return Trainer(*given)


def free_place(out: Path | None) -> Path:
    """Return where the run will lie. Raises RunError or ConfigError if it cannot."""
    from mindref.run.folder import check_free

    run = out or next_free(Path("runs"))
    check_free(run)
    check_writable("--out", run)
    return run


def train(trainer: Trainer, quiet: bool, as_json: bool) -> int:
    """Train, alone or beside other processes; return the exit code."""
    if not trainer.ranks.first:
        vanish(follow(trainer))
    with accountable(trainer):
        code = lead(trainer, quiet, as_json)
    if trainer.ranks.several:
        vanish(code)
    return code


def lead(trainer: Trainer, quiet: bool, as_json: bool) -> int:
    """Train with progress, then print the report; return the exit code."""
    from mindref.cli import show

    step = trainer.state.moments.step
    try:
        with listening() as stop, show.progress(trainer.config, step, quiet, stop) as hooks:
            outcome = trainer.go(hooks)
        if not outcome.finished:
            step = trainer.state.moments.step
            how = f"at step {step} of {trainer.config.steps}; all is saved"
            return stopped(trainer, how, stop.code)
        summary = {"run": str(trainer.run), **trainer.judge()}
    except KeyboardInterrupt as end:  # the second Ctrl-C, or one while the report is made
        return stopped(trainer, f"{str(end) or 'at once'}; the last epoch is saved", code_of(end))
    if as_json:
        click.echo(json.dumps(summary))
    else:
        show_report(trainer, summary)
    return 0


def stopped(trainer: Trainer, how: str, code: int) -> int:
    """Say how to go on; return the exit code of the signal that ended it."""
    ignore()  # nothing is left that one more could stop
    tell(f"Stopped {how}. {how_to_go_on(trainer)}")
    return code


def show_report(trainer: Trainer, summary: dict[str, Any]) -> None:
    """Print the report for people, and what to do next."""
    from mindref.cli import show
    from mindref.models.families import is_fitted

    show.metrics_table(summary["metrics"]["test"], summary["cases"])
    for line in show.interests_lines(summary["interests"]):
        click.echo(line)
    best = "" if is_fitted(trainer.config.model) else f" (best at step {summary['best_step']})"
    click.echo(f"run: {trainer.run}{best}")
    words = ["mindref", "recall", str(trainer.run), somebody(trainer.prepared)]
    click.echo(f"next: {printable(shlex.join([*words, *trusting(trainer.config.backend)]))}")


def show_reading(log: Any) -> None:
    """Say on standard error what was read, and what of it was damaged or left out."""
    counts = (len(log.user_ids), len(log.item_ids), len(log.events.values))
    tell("read {:,} users, {:,} items, {:,} events".format(*counts))
    said = {name: count for name, count in log.notes.items() if count and name not in PLAIN_NOTES}
    if said:
        words = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in said.items())
        tell(f"  {words}")
    if log.times is None:
        tell("  no times: each user's events stand in the order of the file")
    for line in log.bad_lines:
        tell(f"  damaged: {line}")


def next_free(folder: Path) -> Path:
    """Return runs/001, or the number after the last one there."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return folder / f"{max(taken, default=0) + 1:03d}"


def refuse_changes(given: dict[str, Any], reading: dict[str, Any]) -> None:
    """Raise ConfigError when --resume comes with settings: they would not be those of the run."""
    changed = [f"--{name.replace('_', '-')}" for name, x in given.items() if x not in (None, ())]
    if changed or reading:
        got = ", ".join(changed) or "options of how the log is read"
        raise ConfigError(say("--resume", "no other settings", got, "they are those of the run"))
