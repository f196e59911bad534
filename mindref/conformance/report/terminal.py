"""The report as terminal output: first the failures, then the summary."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mindref.conformance.report import summary
from mindref.conformance.report.rule_address import rule_address
from mindref.conformance.runner.result import STATUSES, ConformanceReport

STYLES = {"blocked": "yellow", "expected": "cyan", "not_claimed": "dim", "self_comparison": "dim"}


def print_suite_report(report: ConformanceReport, console: Console) -> None:
    """Print a report."""
    for line in summary.title_lines(report):
        print_wrapped(console, line, "bold" if line.startswith(report.backend) else "")
    print_failures(report, console)
    for fold in summary.folded_results(report):
        print_wrapped(console, summary.folded_line(fold), STYLES[fold.status])
    for line in report.remarks:
        print_wrapped(console, f"remark: {line}", "cyan")
    for line in summary.report_problems(report):
        print_wrapped(console, f"problem: {line}", "red")
    console.print(page_table(report))
    print_wrapped(console, summary.count_line(report), "" if report.complete else "red")
    print_wrapped(console, summary.badge_text(report), "bold")
    for line in summary.next_steps(report):
        print_wrapped(console, line, "yellow")
    word = summary.verdict_text(report)
    style = "bold green" if report.conforms else "bold red"
    print_wrapped(console, f"{report.backend} {word}", style)


def print_failures(report: ConformanceReport, console: Console) -> None:
    """Print the failures, grouped by page and rule."""
    page = ""
    for rule, group in summary.failures_by_rule(summary.report_failures(report)):
        if group[0].result.page != page:
            page = group[0].result.page
            print_wrapped(console, "")
            print_wrapped(console, page, "bold")
        print_wrapped(console, summary.rule_line(rule), "bold red", 2)
        console.print(Text(f"  {rule_address(rule)}", "blue"), soft_wrap=True)
        for failure in group:
            first, *details = summary.failure_text_lines(failure)
            print_wrapped(console, first, "", 4)
            for line in details:
                print_wrapped(console, line, "green" if line.startswith(summary.COMMAND) else "", 6)
    if page:
        print_wrapped(console, "")


def print_wrapped(console: Console, line: str, style: str = "", indent: int = 0) -> None:
    """Print `line`, wrapped. A command is not wrapped, so that a user can copy it."""
    margin = " " * indent
    wrapped = textwrap.wrap(line, max(20, console.width - indent), break_on_hyphens=False)
    lines = [line] if line.startswith(summary.COMMAND) else wrapped or [""]
    for part in lines:
        console.print(Text(margin + part, style), soft_wrap=True)


def page_table(report: ConformanceReport) -> Table:
    """Return a table with a row for each page: counts by status, largest error / error bound."""
    table = Table(box=None, pad_edge=False)
    table.add_column("page")
    statuses = [s for s in STATUSES if report.counts()[s] or s == "passed"]
    for status in statuses:
        table.add_column(summary.WORDS.get(status, status), justify="right")
    table.add_column("largest error / error bound")
    for row in summary.page_rows(report, statuses):
        table.add_row(*row)
    return table
