"""mindref compare: tune and compare models on the same test cases."""

from __future__ import annotations

import click

from mindref.cli.bench import split_names
from mindref.cli.experiment_options import ExperimentOptions, ExperimentRequest, RecordedCommand
from mindref.cli.settings import add_options
from mindref.errors import ConfigError, say
from mindref.experiments.arms import PAPER_MODELS, PAPER_OPPONENT, model_arm, named_models


@click.command("compare", cls=RecordedCommand, short_help="Tune and compare models.")
@click.option(
    "--models", metavar="A,B,...",
    help="Models to compare: a family of --model, or one of"
    f" {', '.join(named_models())}. `-1` means one interest. Settings given here replace those of"
    f" the models [default, as in the paper: {','.join(PAPER_MODELS)}].",
)  # fmt: skip
@click.option(
    "--opponent", metavar="NAME",
    help=f"Model that the others are compared with [default: {PAPER_OPPONENT}, else the first].",
)  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(1, 1000), default=4, metavar="N",
    help="Tuning trials per model: the given settings, then settings from a grid; the best on"
    " validation is used. Settings given as options are not tuned [1 to 1000; default 4].",
)  # fmt: skip
@add_options(ExperimentOptions)
def compare_command(
    options: ExperimentOptions, models: str | None, opponent: str | None, trials: int
) -> int:
    """Tune and train models on DATA and compare their hit rates at 10, 20, 50 and 100.

    Without DATA the built-in catalogue is used. Every case ranks the whole catalogue. Hit rates are
    also given relative to the opponent, with intervals over users and seeds and a paired test.
    Every model has the same number of trials. All runs are stored below --out. Ctrl-C saves the
    state; the same command resumes.
    """
    request = ExperimentRequest(options)
    from mindref.experiments.compare import ComparisonPlan, models_with_trials, run_comparison

    names = PAPER_MODELS if models is None else split_names(models)
    if not names:
        raise ConfigError(say("--models", "at least one", "none"))
    arms = [model_arm(name, request.changes) for name in names]
    other = opponent or (PAPER_OPPONENT if PAPER_OPPONENT in names else names[0])
    plan = ComparisonPlan(request.config, arms, options.seeds, trials, other, request.out)
    models_with_trials(plan)  # reports invalid settings before the log is read
    return request.run(lambda runs: run_comparison(plan, runs))
