"""mindref doctor: check an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mindref.cli.settings import json_option
from mindref.cli.streams import print_json, print_stdout

if TYPE_CHECKING:
    from mindref.doctor.checks import Finding


@click.command("doctor", short_help="Check this installation.")
@json_option
def doctor_command(as_json: bool) -> int:
    """Check everything that mindref needs, and print what to do about each finding.

    Parts that may crash or hang are loaded in separate processes, for at most 60 seconds each. A
    note is about something that mindref does not need.

    Exit code 0: mindref works here; 1: a problem prevents it.
    """
    from mindref.doctor import examine

    findings = examine.examine()
    if as_json:
        print_json(examine.report_json(findings))
    else:
        print_findings(findings)
    return 0 if examine.installation_works(findings) else 1


def print_findings(findings: list[Finding]) -> None:
    """Print a line for each finding, then what to do. rich may be broken."""
    for finding in findings:
        print_stdout(f"{finding.name:<17} {finding.state:<7} {finding.summary}")
    not_ok = [finding for finding in findings if finding.state != "ok"]
    problems = sum(finding.state == "problem" for finding in not_ok)
    for finding in not_ok:
        print_stdout(f"{finding.state}: {finding.name}: {finding.todo}")
    verdict = f"mindref does not work here; problems: {problems}" if problems else ""
    notes = len(not_ok) - problems
    print_stdout(f"{verdict or 'mindref works here'}; notes: {notes}")
