"""mindref doctor: does mindref work here, and what cannot be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mindref.cli.settings import json_option

if TYPE_CHECKING:
    from mindref.doctor.check import Check

COLOURS = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command("doctor", short_help="Does mindref work here, and what cannot be used.")
@click.option(
    "--limit",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Seconds that a part may take to be tried [1 to 3600].",
)
@json_option
def command(limit: int, as_json: bool) -> int:
    """Look at everything that mindref needs, and say what to do about what is wrong.

    What may crash or hang is tried in a process of its own. Exit code 0: mindref works here, though
    notes may say what it does without. 1: a problem keeps it from its work.
    """
    from mindref.doctor import examine
    from mindref.doctor.check import works

    checks = examine.examine(limit)
    if as_json:
        click.echo(json.dumps(examine.as_json(checks)))
    else:
        show(checks)
    return 0 if works(checks) else 1


def show(checks: list[Check]) -> None:
    """Print a table, then what to do; plain lines where no table can be drawn."""
    try:
        from rich.table import Table
        from rich.text import Text

        from mindref.cli.tables import show_table
    except Exception:  # rich itself may be what is broken
        for check in checks:
            click.echo(f"{check.name:<16} {check.state:<8} {check.found}")
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("subject", "state", "found"):
            table.add_column(name, overflow="fold", no_wrap=name != "found")
        for check in checks:
            state = Text(check.state, COLOURS[check.state])
            table.add_row(Text(check.name), state, Text(check.found))
        show_table(table)
    bad = [check for check in checks if check.state != "ok"]
    problems = sum(check.state == "problem" for check in bad)
    for check in bad:
        click.echo(f"{check.state}: {check.name}: {check.todo}")
    said = f"{problems} problems keep it from its work" if problems else "mindref works here"
    notes = len(bad) - problems
    click.echo(said.replace("1 problems keep", "1 problem keeps") + f"; notes: {notes}")
