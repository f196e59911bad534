"""Options of `compare`, `ablate` and `tune`, and the request that reads the log and runs them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mindref.cli import settings
from mindref.cli.locking import lock_folder
from mindref.cli.reading_options import parse_reading, reading_options
from mindref.cli.signals import StopRequest, ignore_signals, signal_exit_code, stop_on_signals
from mindref.cli.streams import print_json, print_stderr, print_stdout
from mindref.cli.tables import print_table
from mindref.config import Config
from mindref.data.protocols import EVALUATION_PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.presets import SETTINGS_BY_PROTOCOL, default_protocol
from mindref.run.files import check_tree

if TYPE_CHECKING:
    from mindref.experiments.results import ExperimentResult
    from mindref.experiments.runs import ExperimentRuns
    from mindref.training.loop import Hooks

WORDS = "mindref.words"  # key of the arguments in the click context
FILE_WIDTH = 160  # characters of a line if standard output is not a terminal


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """The options of all experiments."""

    data: Annotated[Path | None, click.argument("data", type=settings.PATH, required=False)]
    reading: Annotated[dict[str, Any], reading_options]
    protocol: Annotated[str | None, click.option(
        "--split", "protocol", type=click.Choice(EVALUATION_PROTOCOLS),
        help="Protocol that splits the log into training, validation and test [default:"
        " leave_last_out; with --preset paper: paper].",
    )]  # fmt: skip
    exclude_seen: Annotated[bool | None, settings.seen_option(settings.OF_LOG)]
    seeds: Annotated[int, click.option(
        "--seeds", type=click.IntRange(1, 100), default=3, metavar="N",
        help="Number of seeds per arm, starting at --seed [1 to 100; default 3].",
    )] = 0  # fmt: skip  # 0: the command has no seeds
    out: Annotated[Path | None, click.option(
        "--out", type=settings.FOLDER, help="Output folder (required). Existing runs are resumed."
    )]  # fmt: skip
    preset: Annotated[str | None, settings.preset_option]
    config_file: Annotated[Path | None, settings.config_option]
    setting_values: Annotated[dict[str, Any], settings.settings_options]
    device: Annotated[str, settings.device_option]
    threads: Annotated[int | None, settings.threads_option]
    quiet: Annotated[bool, settings.quiet_option]
    as_json: Annotated[bool, settings.json_option]


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
    """The request for an experiment, checked as far as possible without the log.

    default_preset: used if the command names neither a preset nor a model.
    """

    def __init__(self, options: ExperimentOptions, default_preset: str = "mind") -> None:
        self.options = options
        self.reading = parse_reading(options.reading)
        self.preset, changes = settings.read_changes(
            options.preset, options.config_file, options.setting_values
        )
        self.protocol = options.protocol or default_protocol(self.preset)
        self.changes = {**SETTINGS_BY_PROTOCOL.get(self.protocol, {}), **changes}
        fallback = "mind" if "model" in self.changes else default_preset
        self.config: Config = Config.of(self.preset or fallback, self.changes)
        settings.set_threads(options.threads, self.config.backend)
        from mindref.recommender.evaluate_run import parse_metric

        if options.out is None:
            raise ConfigError(say("--out", "a folder for the runs", "none", "add --out FOLDER"))
        self.out = options.out
        if options.data is None and self.reading:
            got = ", ".join(self.reading)
            raise ConfigError(say("DATA", "a log for the reading options", f"none, but {got}"))
        settings.check_writable("--out", self.out)
        check_tree(self.out)  # security-R4
        parse_metric(self.config.metric)

    def run(self, work: Callable[[ExperimentRuns], ExperimentResult]) -> int:
        """Read the log once, run the experiment, report the result; return the exit code."""
        from mindref.cli.training_output import print_reading, show_progress
        from mindref.experiments.runs import ExperimentRuns, ExperimentStopped, RunListener
        from mindref.run.source import Source

        options, quiet = self.options, self.options.quiet
        warning = lock_folder(self.out, make=True)
        source = Source.of(options.data, self.reading)
        loaded = source.read(self.config)
        if not quiet:
            print_reading(loaded.log, exclude_seen=options.exclude_seen, protocol=self.protocol)
        stop = StopRequest()

        def watch(config: Config, step: int) -> AbstractContextManager[Hooks]:
            return show_progress(config, first=step, quiet=quiet, stop=stop)

        listener = RunListener((lambda line: None) if quiet else print_stderr, watch, stop)
        runs = ExperimentRuns(
            source,
            loaded,
            self.protocol,
            exclude_seen=options.exclude_seen,
            device=options.device,
            listener=listener,
        )
        try:
            with stop_on_signals(stop):
                result = work(runs)
                result["command"] = typed_command()
        except (ExperimentStopped, KeyboardInterrupt) as end:  # KeyboardInterrupt: second Ctrl-C
            ignore_signals()  # the state is saved
            done = f"{len(runs.ended)} of {runs.total} runs are done"
            print_stderr(f"Stopped; {done}, and all is saved. Resume with: {typed_command()}")
            return signal_exit_code(end) if isinstance(end, KeyboardInterrupt) else stop.code
        self.report_result(result, warning)
        return 0

    def report_result(self, result: ExperimentResult, warning: str) -> None:
        """Write the result to a file and print it; `warning` as in lock_folder."""
        from mindref.experiments import tables
        from mindref.run import atomic

        options = self.options
        file = self.out / f"{result['kind']}.json"
        if not warning:
            atomic.remove_leftovers(file.parent, file.name)  # faults-R8
        atomic.write_json(file, result)
        if options.as_json:
            print_json(result)
        else:
            for table in tables.result_tables(result):
                print_stdout(table.title)  # rich would wrap it at the width of the table
                print_table(table.heads, table.rows, width=FILE_WIDTH)
                print_stdout(*table.notes)
                if table.command:
                    print_stdout(f"best settings: {table.command}")
            print_stdout(f"result: {file}")
