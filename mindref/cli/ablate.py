"""mindref ablate: change one setting at a time and measure the effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mindref.cli.bench import split_names
from mindref.cli.experiment_options import ExperimentOptions, ExperimentRequest, RecordedCommand
from mindref.cli.settings import add_options
from mindref.cli.streams import print_json
from mindref.cli.tables import print_table

if TYPE_CHECKING:
    from mindref.experiments.studies import Study


@click.command("ablate", cls=RecordedCommand, short_help="Measure the effect of each setting.")
@click.option(
    "--studies", default="all", show_default=True, metavar="A,B,...",
    help="Names of studies, or all. --list prints them.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="Print the studies and their arms, then exit.")
@add_options(ExperimentOptions)
def ablate_command(options: ExperimentOptions, studies: str, listed: bool) -> int:
    """Train every arm of STUDIES on DATA and compare it with the base arm of its study.

    Without DATA the built-in catalogue is used. The table has hit rates at 10 and 50 from the whole
    catalogue, the effect of each arm with an interval over users and seeds, and a verdict. Arms
    with equal settings are trained once. All runs are stored below --out. Ctrl-C saves the state;
    the same command resumes.
    """
    from mindref.experiments.studies import select_studies, study_arms

    if listed:
        show_studies(select_studies(split_names(studies)), as_json=options.as_json)
        return 0
    request = ExperimentRequest(options)
    from mindref.experiments.ablate import AblationPlan, run_ablation

    selected = select_studies(split_names(studies))
    plan = AblationPlan(request.config, selected, options.seeds, request.out)
    for study in plan.studies:
        study_arms(study, plan.base)  # reports invalid settings before the log is read
    return request.run(lambda runs: run_ablation(plan, runs))


def show_studies(studies: Sequence[Study], *, as_json: bool) -> None:
    """Print name, title, question and arms of the studies."""
    if as_json:
        print_json([study._asdict() for study in studies])
        return
    rows = []
    for study in studies:
        arms = [study.base, *(label for label in study.arms if label != study.base)]
        rows.append((study.name, f"{study.title}. {study.question}", ", ".join(arms)))
    print_table(("study", "question", "arms (base first)"), rows, left=3)
