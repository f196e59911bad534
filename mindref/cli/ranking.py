"""The ranking stage on the command line: its training, its report, and why it cannot be indexed."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli.claims import claim
from mindref.cli.ending import code_of, ignore, listening
from mindref.cli.settings import (
    DIN,
    NOT_SETTINGS,
    backend_of,
    read_toml,
    set_threads,
    threads_of,
    words_of,
)
from mindref.cli.telling import somebody, tell, trusting
from mindref.config import Config
from mindref.errors import ConfigError, printable, say
from mindref.models.din_config import DinConfig
from mindref.process.threads import several

if TYPE_CHECKING:
    from mindref.recommender.ranking_run import RankingTrainer

OWN = {setting.name for setting in dataclasses.fields(DinConfig)} - {
    setting.name for setting in dataclasses.fields(Config)
}
"""Settings that no model but din has."""


def config_of(config_file: Path | None, given: Mapping[str, Any]) -> DinConfig:
    """Return the settings of din: options of the command line, else the file, else its defaults.

    Raises ConfigError for one that din does not know.
    """
    words = read_toml(config_file) if config_file is not None else {}
    for name in NOT_SETTINGS:
        if name in words:
            todo = f"give --{name} on the command line"
            raise ConfigError(say(f"--config {config_file}", "settings alone", name, todo))
    words |= {name: x for name, x in given.items() if x is not None}
    words.pop("model", None)  # by which it was called
    return DinConfig.of(words)  # din-R22


def refuse_without(recall: Path | None, given: Mapping[str, Any]) -> None:
    """Raise ConfigError for what means nothing without --model din."""
    wrong = [] if recall is None else ["recall"]
    wrong += [name for name in given if name in OWN and given[name] is not None]
    if wrong:
        option = f"--{wrong[0].replace('_', '-')}"
        raise ConfigError(say(option, f"--model {DIN} beside it", given["model"] or "none"))


def start(
    recall: Path | None,
    out: Callable[[], Path],
    config: DinConfig,
    data: Path | None,
    device: str,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    others: Mapping[str, Any],
    backend: str | None,
) -> int:
    """Train a new stage on what a run recalls; return the exit code.

    out: says where it will lie, once all else is right; others: options that the recall run has
    decided; backend: that of the recall run, where the user trusts its code. Raises ConfigError,
    RunError or DataError before the first step.
    """
    if recall is None:
        todo = "mindref train makes one"
        raise ConfigError(say("--recall", "the run whose candidates din ranks", "none", todo))
    decided = [f"--{name.replace('_', '-')}" for name, x in others.items() if x is not None]
    if decided:
        todo = "log, split and what is left out are those of the recall run"
        raise ConfigError(say(f"--model {DIN}", "settings of its own", ", ".join(decided), todo))
    check_alone()
    check_backend(backend, recall)
    set_threads(threads, backend_of(recall))
    from mindref.recommender.ranking_run import RankingTrainer, open_recall

    run, served = out(), open_recall(recall, data, device, backend)
    trainer = RankingTrainer(recall, served, config, run)
    claim(run, make=True)
    trainer.create()
    return lead(trainer, quiet, as_json)


def go_on(
    run: Path,
    recall: Path | None,
    data: Path | None,
    device: str,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    backend: str | None,
) -> int:
    """Go on with a stage that was stopped; return the exit code."""
    check_alone()
    place = recall or place_of(run)
    check_backend(backend, place)
    name = backend_of(place)
    set_threads(threads_of(run, threads, name), name)
    claim(run)
    from mindref.recommender.ranking_run import resume

    return lead(resume(run, recall, data, device, backend), quiet, as_json)


def check_backend(asked: str | None, recall: Path) -> None:
    """Raise ConfigError for another backend than the one that recalls: candidates would differ.

    To name that one says that its code is trusted (security-R9).
    """
    name = backend_of(recall)
    if asked not in (None, name):
        todo = "leave it out, or name that one to say that you trust it"
        raise ConfigError(say("--backend", f"{name}, the backend of {recall}", asked, todo))


def check_alone() -> None:
    """Raise ConfigError for several processes, of which each would train the same."""
    if several():
        raise ConfigError(say(f"--model {DIN}", "one process", "several", "train it alone"))


def place_of(run: Path) -> Path:
    """Return where the recall run of a stage lies; what cannot be read is left to others."""
    try:
        return Path(words_of(run)["recall"]["run"])
    except (ValueError, KeyError, TypeError):
        return run


def lead(trainer: RankingTrainer, quiet: bool, as_json: bool) -> int:
    """Train with progress, then print the report; return the exit code."""
    from mindref.cli import show

    config, step = trainer.config, trainer.state.moments.step
    lines = not quiet and not show.is_terminal()  # where no bar is shown
    meter = show.Meter(config, step)

    def on_step(number: int, loss: float) -> None:
        meter.add(number, loss)
        shown.on_step(number, loss)

    def on_save(number: int) -> None:
        if lines:
            pace = f"loss {meter.loss:.4f}  {meter.rate:,.0f} examples/s"
            tell(f"step {number}/{config.steps}  {pace}")

    try:
        with listening() as stop, show.progress(config, step, quiet, stop) as shown:
            finished = trainer.go(shown._replace(on_step=on_step), on_save)
        if not finished:
            step = trainer.state.moments.step
            return stopped(trainer, f"at step {step} of {config.steps}; all is saved", stop.code)
        if not quiet:
            tell("ranking the test cases")
        summary = {"run": str(trainer.run), **trainer.judge()}
    except KeyboardInterrupt as end:  # the second Ctrl-C, or one while the report is made
        return stopped(trainer, "at once; what was saved last is kept", code_of(end))
    if as_json:
        click.echo(json.dumps(summary))
    else:
        show_report(summary)
        who, trusted = somebody(trainer.prepared), trusting(trainer.served.backend_name)
        words = ["mindref", "recall", str(trainer.recall_run), "--rerank", str(trainer.run), who]
        click.echo(f"run: {trainer.run}")
        click.echo(f"next: {printable(shlex.join([*words, *trusted]))}")
    return 0


def stopped(trainer: RankingTrainer, how: str, code: int) -> int:
    """Say how to go on; return the exit code of the signal that ended it."""
    ignore()  # nothing is left that one more could stop
    words = ["mindref", "train", "--resume", str(trainer.run)]
    again = shlex.join([*words, *trusting(trainer.served.backend_name)])
    tell(f"Stopped {how}. Go on with: {printable(again)}")
    return code


def evaluate(
    run: Path,
    indexable: bool,
    recall: Path | None,
    data: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
    backend: str | None,
) -> None:
    """Print the report of a ranking stage again, or why it cannot be indexed."""
    if indexable:
        place = recall or place_of(run)
        check_backend(backend, place)
        set_threads(threads, backend_of(place))
        from mindref.recommender.factorised import demonstrate
        from mindref.recommender.ranking_run import opened

        found = demonstrate(opened(run, recall, data, device, backend).trained())
    else:
        set_threads(None)
        from mindref.recommender.ranking_files import report_of

        found = report_of(run)
    if as_json:
        click.echo(json.dumps(found))
    elif indexable:
        for line in why_not(found):
            click.echo(line)
    else:
        show_report(found)


def show_report(found: Mapping[str, Any]) -> None:
    """Print what both orders are worth, and the gain from one to the other."""
    from rich.table import Table

    from mindref.cli import show
    from mindref.cli.tables import show_table

    if found["all"] is None:
        click.echo("no test case has its target among the candidates: there is nothing to judge")
        return
    table = Table(title=f"{found['candidates']} candidates a case; 95 % intervals by bootstrap")
    for name in ("cases", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("order of recall", "order of din", "gain"):
        table.add_column(name, justify="right")
    for part in ("all", "within"):
        rows = found[part]
        for metric in rows["before"]:
            cells = [show.written(rows[order][metric]) for order in ("before", "after", "gain")]
            table.add_row(part, metric, *cells)
    show_table(table)
    all_cases, within = (f"{found[part]['cases']:,}" for part in ("all", "within"))
    click.echo(
        f"all: {all_cases} test cases with a target; within: {within} of them, whose target is"
        " among the candidates, where an order can change anything"
    )


def why_not(found: Mapping[str, Any]) -> list[str]:
    """Return what inner products keep of a stage, in a sentence each."""
    users, items, rank = found["users"], found["items"], found["rank"]
    lines = [
        f"The scores of {users:,} users for all {items:,} items make a matrix of rank {rank:,}. An"
        f" index holds one vector for each item, and with vectors of width {found['width']} every"
        f" such matrix has rank {found['width']} at the most."
    ]
    for r, kept in found["by_rank"].items():
        lines.append(
            f"  rank {r:>4}: the nearest matrix of this rank misses {kept['missed']:.1%} of the"
            f" squares and finds {kept['found']:.1%} of each user's {found['n']} best items."
        )
    if (recall := found["recall"]) is not None:
        lines.append(
            f"The run that recalls is what an index holds: the scores of {recall['interests']:,} of"
            f" its interests have rank {recall['rank']:,}, and the nearest matrix of rank"
            f" {recall['width']} finds {recall['found']:.1%} of the {found['n']} best items"
            " of each."
        )
    if found["turning"] is not None:
        lines.append(
            "A query would have to be one vector of the user; din makes one for each candidate:"
            f" two of them have a mean cosine of {found['turning']:.3f}, and of"
            f" {found['turning_most']:.3f} or less for the twentieth of users who turn most."
        )
    return lines
