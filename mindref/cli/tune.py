"""mindref tune: try settings from a grid on a log, and print the best ones as a command."""

from __future__ import annotations

from collections.abc import Collection

import click
from click.core import ParameterSource

from mindref.cli.experiment_options import ExperimentOptions, ExperimentRequest, RecordedCommand
from mindref.cli.settings import add_options
from mindref.presets import DEFAULT_PRESET

LOG_OPTIONS = ("protocol", "exclude_seen", "device")
"""Parameters that `mindref train` needs besides the reading options and the settings."""


@click.command("tune", cls=RecordedCommand, short_help="Tune the settings of a preset or a model.")
@click.option(
    "--trials", type=click.IntRange(1, 1000), default=10, metavar="N",
    help="Number of trials: the given settings, then settings from the grid. Settings"
    " given as options are not tuned [1 to 1000; default 10].",
)  # fmt: skip
@add_options(ExperimentOptions, without=("seeds",))
def tune_command(options: ExperimentOptions, trials: int) -> int:
    """Train trials of a preset or a model on DATA, and select the best one on validation cases.

    Without --preset and --model, the recommended preset is tuned. Without DATA the built-in
    catalogue is used. The result is a table of the trials, and the command that trains with the
    best settings. Only the best trial is evaluated on the test cases. All runs are stored below
    --out. Ctrl-C saves the state; the same command resumes, and more --trials add to the table.
    """
    request = ExperimentRequest(options, default_preset=DEFAULT_PRESET)
    from mindref.experiments.tune import plan_tuning, run_tuning

    plan = plan_tuning(request.preset, request.changes, trials, request.out)
    words = log_words(options.reading)
    return request.run(lambda runs: run_tuning(plan, runs, words))


def log_words(reading_names: Collection[str]) -> list[str]:
    """Return the options of `mindref train` for the log and the cases of this command."""
    context = click.get_current_context()
    words = [] if context.params["data"] is None else ["--data", str(context.params["data"])]
    for option in context.command.params:
        name = str(option.name)
        is_typed = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if is_typed and name in {*LOG_OPTIONS, *reading_names}:
            words += option_words(option, context.params[name])
    return words


def option_words(option: click.Parameter, value: object) -> list[str]:
    """Return an option with its value, as it can be typed."""
    if isinstance(value, bool):
        return [option.opts[0] if value else option.secondary_opts[0]]
    values = value if isinstance(value, tuple) else (value,)
    return [f"{option.opts[0]}={x}" for x in values]
