"""The report in Markdown, for example for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mindref.conformance.report import summary
from mindref.conformance.report.rule_address import rule_address
from mindref.conformance.runner.result import STATUSES, ConformanceReport


def markdown_text(report: ConformanceReport) -> str:
    """Return `report` as Markdown text."""
    return "\n".join(markdown_lines(report)) + "\n"


def markdown_lines(report: ConformanceReport) -> Iterator[str]:
    """Yield the Markdown lines of `report`."""
    yield f"# {report.backend} {summary.verdict_text(report)}"
    yield from ("", f"**{summary.badge_text(report)}**", "")
    yield from (f"{line}  " for line in summary.title_lines(report))
    yield summary.count_line(report)
    yield from section_lines("Next steps", summary.next_steps(report))
    yield from section_lines("Problems", summary.report_problems(report))
    yield from failure_sections(report)
    folded = summary.folded_results(report)
    yield from section_lines("Without verdict", map(summary.folded_line, folded))
    yield from section_lines("Remarks", report.remarks)
    yield from table_lines(report)


def section_lines(name: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield the heading `name` and a list of `lines`; nothing if `lines` is empty."""
    items = [f"- {escape_markdown(line)}" for line in lines]
    if items:
        yield from ("", f"## {name}", "", *items)


def failure_sections(report: ConformanceReport) -> Iterator[str]:
    """Yield the lines of the failures, with a heading for each broken rule."""
    failures = summary.report_failures(report)
    if failures:
        yield from ("", "## Failures")
    for rule, group in summary.failures_by_rule(failures):
        text = escape_markdown(summary.rule_line(rule))
        yield from ("", f"### [{rule}]({rule_address(rule)})", "", text)
        for failure in group:
            yield from ("", "```text", *summary.failure_text_lines(failure), "```")


def table_lines(report: ConformanceReport) -> Iterator[str]:
    """Yield a table with a row for each page: counts by status, largest error / error bound."""
    names = [summary.WORDS.get(status, status) for status in STATUSES]
    yield from ("", "## Pages", "")
    yield "| page | " + " | ".join(names) + " | largest error / error bound |"
    yield "|---" * (len(names) + 2) + "|"
    for row in summary.page_rows(report, STATUSES):
        yield f"| {' | '.join(row)} |"


def escape_markdown(text: str) -> str:
    """Return `text` on one line, with the special characters of Markdown escaped."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
