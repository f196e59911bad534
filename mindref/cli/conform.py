"""mindref conform: judge a backend by the rules of the specification."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli.settings import (
    check_file,
    check_writable,
    device_option,
    json_option,
    set_threads,
)

if TYPE_CHECKING:
    from mindref.conformance.judging.judgement import Judgement
    from mindref.conformance.judging.result import Report, Result

PROFILES = ("smoke", "standard", "deep")
FILE = click.Path(path_type=Path, dir_okay=False)
FILES = ("output", "markdown", "junit", "badge")


@click.command("conform", short_help="Judge a backend by the rules of the specification.")
@click.argument("words", nargs=-1, metavar="[PAGE|RULE|CHECK]...")
@click.option(
    "--backend", "name", required=True, metavar="NAME|MODULE:OBJECT",
    help="Who is judged: an installed backend, or an object of a module, here or installed.",
)  # fmt: skip
@device_option
@click.option(
    "--profile", type=click.Choice(PROFILES), default="standard", show_default=True,
    help="How many examples each check is given.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, metavar="N",
    help="Of all that is drawn [0 to 2^63 - 1].",
)  # fmt: skip
@click.option("--expectations", type=FILE, help="TOML file of known gaps and widened tolerances.")
@click.option(
    "--scripts", type=click.Path(path_type=Path, file_okay=False), default="conform-failures",
    show_default=True, help="Folder for a script that reproduces each failure.",
)  # fmt: skip
@click.option("--diff", "older", type=FILE, help="Say what has changed since this JSON report.")
@click.option("--output", type=FILE, help="Write the JSON report to a file, too.")
@click.option("--markdown", type=FILE, help="Write the report as Markdown.")
@click.option("--junit", type=FILE, help="Write the report as JUnit XML.")
@click.option("--badge", type=FILE, help="Write the text of a badge.")
@json_option
def command(
    words: tuple[str, ...],
    name: str,
    device: str,
    profile: str,
    seed: int,
    expectations: Path | None,
    scripts: Path,
    older: Path | None,
    as_json: bool,
    **files: Path | None,
) -> int:
    """Judge a backend: every rule that it claims, or those of the pages, rules or checks named.

    Exit code 0: it conforms; 1: it does not. Each failure comes with the rule, the numbers, the
    likely mistake, and a script that shows it without this suite.
    """
    set_threads(None, name)
    from mindref.conformance import extra

    extra.check()
    check_files(files, scripts)
    from mindref.conformance.judging.judgement import Judgement
    from mindref.conformance.judging.plan import Settings
    from mindref.conformance.report import as_json as form
    from mindref.conformance.report import diff

    old = diff.read(older) if older is not None else None
    judgement = Judgement(name, words, Settings(profile, seed), expectations, scripts, device)
    with progress(judgement) as on_result:
        report = judgement.report(on_result)
    found = form.of(report)
    changes = diff.changes(old, found) if old is not None else []
    if old is not None:
        found["changes"] = [change._asdict() for change in changes]
    try:
        save(report, found, files)
    finally:  # what took minutes is shown, even if the last place on a disk is gone
        if as_json:
            click.echo(form.text(found), nl=False)
        else:
            show(report, list(diff.lines(changes, old, found)) if old is not None else [])
    return 0 if report.conforms else 1


def check_files(files: dict[str, Path | None], scripts: Path) -> None:
    """Raise ConfigError, before all that is slow, for what could not be written."""
    check_writable("--scripts", scripts)
    for name in FILES:
        check_file(f"--{name}", files[name])


def save(report: Report, found: dict[str, Any], files: dict[str, Path | None]) -> None:
    """Write the files that were asked for, each whole or not at all."""
    from mindref.conformance.report import as_json, badge, junit, markdown
    from mindref.run.atomic import write_text

    texts: dict[str, Callable[[], str]] = {
        "output": lambda: as_json.text(found),
        "markdown": lambda: markdown.text(report),
        "junit": lambda: junit.text(report),
        "badge": lambda: badge.text(report) + "\n",
    }
    for name in FILES:
        path = files[name]
        if path is not None:
            write_text(path, texts[name]())


def show(report: Report, changed: list[str]) -> None:
    """Print the report, and what has changed."""
    from rich.console import Console

    from mindref.conformance.report import terminal

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    terminal.show(report, console)
    for line in changed:
        terminal.say(console, line)


@contextmanager
def progress(judgement: Judgement) -> Iterator[Callable[[Result], None]]:
    """Show on a terminal's standard error how far the judgement is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("judging", total=len(judgement.keys()))

        def on_result(result: Result) -> None:
            bar.update(task, advance=1, description=result.check)

        yield on_result
