"""Options of `compare` and `ablate`, and the request that reads the log once and runs them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from mindref.cli import settings
from mindref.cli.bench import check_picture
from mindref.cli.locking import lock_folder
from mindref.cli.reading_options import reading_options, take_reading
from mindref.cli.signals import StopRequest, ignore_signals, signal_exit_code, stop_on_signals
from mindref.cli.stderr import print_stderr
from mindref.cli.tables import print_table
from mindref.config import Config
from mindref.data.protocols import PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.presets import default_protocol

if TYPE_CHECKING:
    from mindref.experiments.runs import ExperimentRuns

WORDS = "mindref.words"  # key of the arguments in the click context
FILE_WIDTH = 160  # characters of a line if standard output is not a terminal
OPTIONS = (
    click.argument("data", type=settings.PATH, required=False),
    reading_options,
    click.option(
        "--split", "protocol", type=click.Choice(PROTOCOLS),
        help="Protocol that splits the log into training, validation and test [default:"
        " leave_last_out; with --preset paper: paper].",
    ),
    click.option(
        "--exclude-seen/--include-seen", default=True, show_default=True,
        help="Exclude items of the user's history from the top-n lists.",
    ),
    click.option(
        "--seeds", type=click.IntRange(1, 100), default=3, metavar="N",
        help="Number of seeds per arm, starting at --seed [1 to 100; default 3].",
    ),
    click.option(
        "--out", type=settings.FOLDER, help="Output folder (required). Existing runs are resumed."
    ),
    click.option(
        "--markdown", type=settings.FILE, metavar="FILE", help="Write the tables as Markdown."
    ),
    click.option(
        "--plot", "picture", type=settings.FILE, metavar="FILE",
        help="Draw the result as .png, .svg or .pdf; needs the extra `plot`.",
    ),
    settings.settings_options,
    settings.device_option,
    settings.threads_option,
    settings.quiet_option,
    settings.json_option,
)  # fmt: skip

NAMES = ("data", "protocol", "exclude_seen", "seeds", "out", "markdown", "picture", "device",
         "threads", "quiet", "as_json")  # fmt: skip
"""Parameters of these options, except for settings and reading options."""


def experiment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


class RecordedCommand(click.Command):
    """A click command that stores its arguments, so that the result can contain the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store and parse the arguments."""
        ctx.meta[WORDS] = ["mindref", str(self.name), *args]
        return super().parse_args(ctx, args)


def typed_command() -> str:
    """Return the running command as it was typed."""
    return shlex.join(click.get_current_context().meta[WORDS])


class ExperimentRequest:
    """The options of an experiment, checked as far as possible without the log."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Remove the options of this module from `options`; settings remain."""
        self.options = {name: options.pop(name) for name in NAMES}
        preset, file = options.pop("preset"), options.pop("config_file")
        self.reading = take_reading(options)
        preset_name, changes = settings.read_changes(preset, file, options)
        self.options["protocol"] = self.options["protocol"] or default_protocol(preset_name)
        self.config: Config = Config.of(preset_name or "mind", changes)
        self.fixed_settings = set(changes)
        settings.set_threads(self.options["threads"], self.config.backend)
        self.check()

    def check(self) -> None:
        """Raise ConfigError for errors that can be found without reading the log."""
        from mindref.recommender.evaluate_run import parse_metric
        from mindref.training.time_budget import refuse_time_limit

        refuse_time_limit(self.config.time_limit, "--time-limit")
        out = self.options["out"]
        if out is None:
            raise ConfigError(say("--out", "a folder for the runs", "none", "add --out FOLDER"))
        if self.options["data"] is None and self.reading:
            got = ", ".join(self.reading)
            raise ConfigError(say("DATA", "a log for the reading options", f"none, but {got}"))
        settings.check_writable("--out", out)
        settings.check_output_file("--markdown", self.options["markdown"])
        check_picture(self.options["picture"])
        parse_metric(self.config.metric)

    def run(self, work: Callable[[ExperimentRuns], dict[str, Any]]) -> int:
        """Read the log once, run the experiment, report the result; return the exit code."""
        from mindref.cli import progress
        from mindref.cli.training_output import print_reading
        from mindref.experiments.runs import ExperimentRuns, ExperimentStopped, RunListener
        from mindref.run.source import Source

        options = self.options
        quiet = options["quiet"]
        warning = lock_folder(options["out"], make=True)
        source = Source.of(options["data"], self.reading)
        loaded = source.read(self.config)
        if not quiet:
            print_reading(loaded.log, exclude_seen=options["exclude_seen"])
        stop = StopRequest()

        def watch(config: Config, step: int) -> AbstractContextManager[Any]:
            return progress.show_progress(config, step, quiet, stop)

        listener = RunListener((lambda line: None) if quiet else print_stderr, watch, stop)
        protocol, exclude_seen = options["protocol"], options["exclude_seen"]
        runs = ExperimentRuns(source, loaded, protocol, exclude_seen, options["device"], listener)
        try:
            with stop_on_signals(stop):
                result = {**work(runs), "command": typed_command()}
        except (ExperimentStopped, KeyboardInterrupt) as end:  # KeyboardInterrupt: second Ctrl-C
            ignore_signals()  # the state is saved
            done = f"{len(runs.ended)} of {runs.total} runs are done"
            print_stderr(f"Stopped; {done}, and all is saved. Resume with: {typed_command()}")
            return signal_exit_code(end) if isinstance(end, KeyboardInterrupt) else stop.code
        self.report_result(result, warning)
        return 0

    def report_result(self, result: dict[str, Any], warning: str) -> None:
        """Write the result to the requested files and print it; `warning` as in lock_folder."""
        from mindref.experiments import plot, tables
        from mindref.run import atomic

        options = self.options
        file = options["out"] / f"{result['kind']}.json"
        if not warning:
            atomic.remove_leftovers(file.parent, file.name)  # faults-R8
        atomic.write_json(file, result)
        if options["markdown"] is not None:
            tables.write_markdown(result, options["markdown"])
        if options["picture"] is not None:
            plot.draw_result(result, options["picture"])
        if options["as_json"]:
            click.echo(json.dumps(result))
        else:
            for table in tables.result_tables(result):
                click.echo(table.title)  # rich would wrap it at the width of the table
                print_table(table.heads, table.rows, width=FILE_WIDTH)
                for note in table.notes:
                    click.echo(note)
            click.echo(f"result: {file}")
