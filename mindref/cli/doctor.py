"""mindref doctor: check an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mindref.cli.settings import json_option
from mindref.cli.streams import print_json, print_stdout

if TYPE_CHECKING:
    from mindref.doctor.checks import Finding

COLOURS = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command("doctor", short_help="Check this installation.")
@click.option(
    "--limit", type=click.IntRange(1, 3600), default=60, show_default=True, metavar="SECONDS",
    help="Time limit of each part that is loaded in a separate process [1 to 3600].",
)  # fmt: skip
@json_option
def doctor_command(limit: int, as_json: bool) -> int:
    """Check everything that mindref needs, and print what to do about each finding.

    Parts that may crash or hang are loaded in separate processes. A note is about something
    that mindref does not need.

    Exit code 0: mindref works here; 1: a problem prevents it.
    """
    from mindref.doctor import examine

    findings = examine.examine(limit)
    if as_json:
        print_json(examine.report_json(findings))
    else:
        print_findings(findings)
    return 0 if examine.installation_works(findings) else 1


def print_findings(findings: list[Finding]) -> None:
    """Print a table, then what to do; plain lines if rich does not work."""
    try:
        from rich.table import Table
        from rich.text import Text

        from mindref.cli.tables import show_table
    except Exception:  # rich itself may be broken
        for finding in findings:
            print_stdout(f"{finding.name:<16} {finding.state:<8} {finding.summary}")
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("subject", "state", "summary"):
            table.add_column(name, overflow="fold", no_wrap=name != "summary")
        for finding in findings:
            state = Text(finding.state, COLOURS[finding.state])
            table.add_row(Text(finding.name), state, Text(finding.summary))
        show_table(table)
    not_ok = [finding for finding in findings if finding.state != "ok"]
    problems = sum(finding.state == "problem" for finding in not_ok)
    for finding in not_ok:
        print_stdout(f"{finding.state}: {finding.name}: {finding.todo}")
    verdict = f"mindref does not work here; problems: {problems}" if problems else ""
    notes = len(not_ok) - problems
    print_stdout(f"{verdict or 'mindref works here'}; notes: {notes}")
