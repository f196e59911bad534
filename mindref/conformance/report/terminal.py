"""A judgement for the one who sits before it: what failed first, the sums last."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mindref.conformance.judging.result import STATUSES, Report
from mindref.conformance.report import badge, outline

STYLES = {"blocked": "yellow", "expected": "cyan", "not_claimed": "dim", "itself": "dim"}


def show(report: Report, console: Console) -> None:
    """Print a whole report."""
    for line in outline.title(report):
        say(console, line, "bold" if line.startswith(report.backend) else "")
    show_failures(report, console)
    for fold in outline.folded(report):
        say(console, outline.folded_line(fold), STYLES[fold.status])
    for line in report.remarks:
        say(console, f"remark: {line}", "cyan")
    for line in outline.problems(report):
        say(console, f"problem: {line}", "red")
    console.print(table(report))
    say(console, outline.balance(report), "" if report.balanced else "red")
    say(console, badge.text(report), "bold")
    word = outline.verdict(report)
    say(console, f"{report.backend} {word}", "bold green" if report.conforms else "bold red")


def show_failures(report: Report, console: Console) -> None:
    """Print what failed, by page and rule."""
    page = ""
    for rule, group in outline.by_rule(outline.failures(report)):
        if group[0].result.page != page:
            page = group[0].result.page
            say(console, "")
            say(console, page, "bold")
        say(console, outline.rule_line(rule), "bold red", 2)
        for failure in group:
            first, *rest = outline.told(failure)
            say(console, first, "", 4)
            for line in rest:
                say(console, line, "green" if line.startswith(outline.COMMAND) else "", 6)
    if page:
        say(console, "")


def say(console: Console, line: str, style: str = "", indent: int = 0) -> None:
    """Print a line as it is, wrapped; a command stays in one piece so that it can be copied."""
    margin = " " * indent
    wrapped = textwrap.wrap(line, max(20, console.width - indent), break_on_hyphens=False)
    lines = [line] if line.startswith(outline.COMMAND) else wrapped or [""]
    for part in lines:
        console.print(Text(margin + part, style), soft_wrap=True)


def table(report: Report) -> Table:
    """Return a row for each page: its counts and the largest share of the allowed error."""
    made = Table(box=None, pad_edge=False)
    made.add_column("page")
    shown = [s for s in STATUSES if report.counts()[s] or s == "passed"]
    for status in shown:
        made.add_column(outline.WORDS.get(status, status), justify="right")
    made.add_column("largest share of the allowed error")
    for page, shares in outline.shares(report).items():
        own = [r.status for r in report.results if r.page == page]
        counts = [str(own.count(status) or "") for status in shown]
        made.add_row(page, *counts, outline.shares_line(shares))
    return made
