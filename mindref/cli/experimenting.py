"""What compare and ablate share: options, the log read once, progress, and going on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli.claims import claim
from mindref.cli.ending import Stop, code_of, ignore, listening
from mindref.cli.reading import reading_of, reading_options
from mindref.cli.settings import (
    check_file,
    check_writable,
    config_of,
    device_option,
    json_option,
    read_toml,
    set_threads,
    settings_options,
    threads_option,
)
from mindref.cli.telling import tell
from mindref.cli.train import PROTOCOLS
from mindref.errors import ConfigError, say

if TYPE_CHECKING:
    from mindref.config import Config
    from mindref.experiments.runs import Runs

WORDS = "mindref.words"  # where a command keeps what was typed
WIDE = 160  # letters of a line in a file
FORMATS = (".png", ".svg", ".pdf")
OPTIONS = (
    click.argument("data", type=click.Path(path_type=Path), required=False),
    reading_options,
    click.option(
        "--split",
        "protocol",
        type=click.Choice(PROTOCOLS),
        default=PROTOCOLS[0],
        show_default=True,
        help="How the log is split into training, validation and test.",
    ),
    click.option(
        "--exclude-seen/--include-seen",
        default=True,
        show_default=True,
        help="Rank only items that the user has not had, or all.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(1, 100),
        default=3,
        metavar="N",
        help="Seeds of each arm, from --seed on [1 to 100; default 3].",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the runs; what is there is gone on with [needed].",
    ),
    click.option(
        "--markdown",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the tables as Markdown.",
    ),
    click.option(
        "--plot",
        "picture",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Draw it, as .png, .svg or .pdf; needs the extra `plot`.",
    ),
    settings_options,
    device_option,
    threads_option,
    click.option("--quiet", is_flag=True, help="No progress on standard error."),
    json_option,
)


def experiment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both commands."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


class Told(click.Command):
    """A command that keeps the words it was given, for its result."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words and read them."""
        ctx.meta[WORDS] = ["mindref", str(self.name), *args]
        return super().parse_args(ctx, args)


def words() -> str:
    """Return the command that is running, as it was typed."""
    return shlex.join(click.get_current_context().meta[WORDS])


class Request:
    """What was asked of an experiment, checked as far as that goes without the log."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Take the options of this file out of `given`; settings remain."""
        names = ("data", "protocol", "exclude_seen", "seeds", "out", "markdown", "picture")
        own = {name: given.pop(name) for name in (*names, "device", "threads", "quiet", "as_json")}
        preset, file = given.pop("preset"), given.pop("config_file")
        self.own, self.reading = own, reading_of(given)
        self.config: Config = config_of(preset, file, given)
        named = {} if file is None else read_toml(file)
        self.given = {*named, *(name for name, value in given.items() if value is not None)}
        set_threads(own["threads"], self.config.backend)
        self.check()

    def check(self) -> None:
        """Raise ConfigError for what can be seen to fail without reading the log."""
        from mindref.bench.report import check_plot
        from mindref.recommender.judging import split_metric

        own = self.own
        if own["out"] is None:
            raise ConfigError(say("--out", "a folder for the runs", "none", "name one"))
        if own["data"] is None and self.reading:
            got = ", ".join(self.reading)
            raise ConfigError(say("DATA", "a log for the options of reading", f"none, but {got}"))
        check_writable("--out", own["out"])
        check_file("--markdown", own["markdown"])
        check_file("--plot", own["picture"])
        if own["picture"] is not None:
            if own["picture"].suffix not in FORMATS:
                got = own["picture"]
                raise ConfigError(say("--plot", f"a file ending in {', '.join(FORMATS)}", got))
            check_plot()
        split_metric(self.config.metric)

    def run(self, work: Callable[[Runs], dict[str, Any]]) -> int:
        """Read the log once, do the work, tell what was found; return the exit code."""
        from mindref.cli import show
        from mindref.cli.train import show_reading
        from mindref.experiments.runs import Listener, Runs, Stopped
        from mindref.run.source import Source

        own = self.own
        quiet = own["quiet"]
        claim(own["out"], make=True)
        source = Source.of(own["data"], self.reading)
        loaded = source.read()
        if not quiet:
            show_reading(loaded.log)
        stop = Stop()

        def watch(config: Config, step: int) -> AbstractContextManager[Any]:
            return show.progress(config, step, quiet, stop)

        listener = Listener((lambda line: None) if quiet else tell, watch, stop)
        given = (source, loaded, own["protocol"], own["exclude_seen"], own["device"])
        runs = Runs(*given, listener)
        try:
            with listening(stop):
                found = {**work(runs), "command": words()}
        except (Stopped, KeyboardInterrupt) as end:  # the second: Ctrl-C once more
            ignore()  # nothing is left that one more could stop
            done = f"{len(runs.ended)} of {runs.total} runs are done"
            tell(f"Stopped; {done}, and all is saved. Go on with: {words()}")
            return code_of(end) if isinstance(end, KeyboardInterrupt) else stop.code
        self.tell(found)
        return 0

    def tell(self, found: dict[str, Any]) -> None:
        """Write the result where it was asked for, and print it."""
        from mindref.experiments import plot, tables
        from mindref.run import atomic

        own = self.own
        atomic.write_json(own["out"] / f"{found['kind']}.json", found)
        if own["markdown"] is not None:
            tables.write_markdown(found, own["markdown"])
        if own["picture"] is not None:
            plot.draw(found, own["picture"])
        if own["as_json"]:
            click.echo(json.dumps(found))
        else:
            for sheet in tables.sheets(found):
                print_sheet(sheet)
            click.echo(f"result: {own['out'] / found['kind']}.json")


def print_sheet(sheet: Any) -> None:
    """Print a table for people, its title above and its notes below it."""
    from rich.table import Table

    from mindref.cli.tables import show_table

    click.echo(sheet.title)  # as rich would break it at the width of the table
    table = Table()
    for at, head in enumerate(sheet.heads):
        table.add_column(head, justify="left" if at == 0 else "right")
    for row in sheet.rows:
        table.add_row(*row)
    show_table(table, WIDE)
    for note in sheet.notes:
        click.echo(note)
