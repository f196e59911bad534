"""mindref compare: models with equal chances, on the same cases, against one opponent."""

from __future__ import annotations

from typing import Any

import click

from mindref.cli.bench import words_of
from mindref.cli.experimenting import Request, Told, experiment_options
from mindref.errors import ConfigError, say


@click.command("compare", cls=Told, short_help="Compare models with equal chances.")
@click.option(
    "--models",
    metavar="A,B,...",
    help="Who is compared: families of models, as in --model, or mind-1 (one interest),"
    " youtube_dnn-recency, best, best-1, sparse and sparse-1 (these presets; with one interest)."
    " Settings given here go before what a model begins with [default: the paper's:"
    " wals,youtube_dnn,maxmf,mind-1,mind].",
)
@click.option(
    "--opponent",
    metavar="NAME",
    help="Whom the others are set beside [default: youtube_dnn, else the first].",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 1000),
    default=4,
    metavar="N",
    help="Settings that are tried for each model, the given ones first, the others from its grid;"
    " the best on validation is taken. What an option fixes is not tuned [1 to 1000; default 4].",
)
@experiment_options
def command(models: str | None, opponent: str | None, trials: int, **given: Any) -> int:
    """Train models on DATA, or on the built-in catalogue, and set them beside each other.

    Hit rates at 10, 20, 50 and 100 on full rankings, relative to the opponent, with intervals over
    users and seeds and a paired test. Every model has as many trials. All runs lie below --out;
    Ctrl-C saves, and the same command goes on.
    """
    request = Request(given)
    from mindref.experiments.compare import Plan, compare, entries_of
    from mindref.experiments.models import OPPONENT, PAPER, arm_of

    names = PAPER if models is None else words_of(models)
    if not names:
        raise ConfigError(say("--models", "at least one", "none"))
    arms = [arm_of(name, request.given) for name in names]
    other = opponent or (OPPONENT if OPPONENT in names else names[0])
    own = request.own
    plan = Plan(request.config, arms, own["seeds"], trials, other, own["out"])
    entries_of(plan)  # what is no comparison is said before the log is read
    return request.run(lambda runs: compare(plan, runs))
