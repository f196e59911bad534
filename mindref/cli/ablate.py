"""mindref ablate: one setting after the other changed, and what each change does."""

from __future__ import annotations

import json
from typing import Any

import click

from mindref.cli.bench import words_of
from mindref.cli.experimenting import Request, Told, experiment_options


@click.command("ablate", cls=Told, short_help="Change one setting after the other.")
@click.option(
    "--studies",
    default="all",
    show_default=True,
    metavar="A,B,...",
    help="Names of studies, or all.",
)
@click.option("--list", "listed", is_flag=True, help="Show the studies and their arms, and end.")
@experiment_options
def command(studies: str, listed: bool, **given: Any) -> int:
    """Train every arm of STUDIES on DATA, or on the built-in catalogue, against its base.

    One table: hit rates at 10 and 50 on full rankings, the effect of each arm with an interval over
    users and seeds, the cost of its steps on this machine, and a verdict. Arms of equal settings
    are trained once. All runs lie below --out; Ctrl-C saves, and the same command goes on.
    """
    from mindref.experiments.studies import chosen, lay_out

    if listed:
        show_studies(chosen(words_of(studies)), given["as_json"])
        return 0
    request = Request(given)
    from mindref.experiments.ablate import Plan, ablate

    own = request.own
    plan = Plan(request.config, chosen(words_of(studies)), own["seeds"], own["out"])
    for study in plan.studies:
        lay_out(study, plan.base)  # what cannot be asked is said before the log is read
    return request.run(lambda runs: ablate(plan, runs))


def show_studies(studies: Any, as_json: bool) -> None:
    """Print the studies: name, title, question, arms."""
    if as_json:
        click.echo(json.dumps([study._asdict() for study in studies]))
        return
    from rich.table import Table

    from mindref.cli.tables import show_table

    table = Table()
    for head in ("study", "what", "arms, the base first"):
        table.add_column(head)
    for study in studies:
        others = [label for label in study.arms if label != study.base]
        what = f"{study.title}. {study.question}"
        table.add_row(study.name, what, ", ".join([study.base, *others]))
    show_table(table)
