"""A judgement in Markdown, for a pull request or a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mindref.conformance.judging.result import STATUSES, Report
from mindref.conformance.report import badge, outline


def text(report: Report) -> str:
    """Return the whole report: verdict, badge, failures by rule, what was not judged, the table."""
    return "\n".join(parts(report)) + "\n"


def parts(report: Report) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"# {report.backend} {outline.verdict(report)}"
    yield from ("", f"**{badge.text(report)}**", "")
    yield from (f"{line}  " for line in outline.title(report))
    yield outline.balance(report)
    yield from section("Problems", outline.problems(report))
    yield from failures(report)
    yield from section("Not judged", map(outline.folded_line, outline.folded(report)))
    yield from section("Remarks", report.remarks)
    yield from table(report)


def section(name: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a list under a heading, nothing for an empty one."""
    found = [f"- {escaped(line)}" for line in lines]
    if found:
        yield from ("", f"## {name}", "", *found)


def failures(report: Report) -> Iterator[str]:
    """Yield what failed, by rule."""
    found = outline.failures(report)
    if found:
        yield from ("", "## Failures")
    for rule, group in outline.by_rule(found):
        yield from ("", f"### {rule}", "", escaped(outline.rule_line(rule)))
        for failure in group:
            yield from ("", "```text", *outline.told(failure), "```")


def table(report: Report) -> Iterator[str]:
    """Yield a row for each page: its counts and the largest share of the allowed error."""
    used = outline.shares(report)
    names = [outline.WORDS.get(status, status) for status in STATUSES]
    yield from ("", "## Pages", "")
    yield "| page | " + " | ".join(names) + " | largest share of the allowed error |"
    yield "|---" * (len(names) + 2) + "|"
    for page, shares in used.items():
        own = [r.status for r in report.results if r.page == page]
        counts = [str(own.count(status) or "") for status in STATUSES]
        yield f"| {page} | " + " | ".join(counts) + f" | {outline.shares_line(shares)} |"


def escaped(text: str) -> str:
    """Return text whose signs Markdown leaves alone."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
