"""A judgement as JUnit XML, which CI servers read: a suite for each page, a case for each check."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree as xml

from mindref.conformance.judging.result import Report, Result
from mindref.conformance.report import outline

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 may hold, not even escaped."""


def text(report: Report) -> str:
    """Return the XML of a judgement: failures fail, whatever was not judged is skipped."""
    root = xml.Element("testsuites", name=f"mindref conform {clean(report.backend)}")
    results = sorted(report.results, key=lambda r: r.page)
    for page, group in groupby(results, key=lambda r: r.page):
        suite(root, page, list(group))
    books(root, report)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(part.get(name, "0")) for part in root)))
    xml.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{declaration}\n{xml.tostring(root, encoding='unicode')}\n"


def suite(root: xml.Element, page: str, results: list[Result]) -> None:
    """Add the checks of a page."""
    failed = sum(r.status == "failed" for r in results)
    skipped = sum(r.status not in ("passed", "failed") for r in results)
    counts = {"tests": len(results), "failures": failed, "skipped": skipped, "errors": 0}
    part = xml.SubElement(root, "testsuite", name=page)
    for name, count in counts.items():
        part.set(name, str(count))
    part.set("time", f"{sum(r.seconds for r in results):.3f}")
    for result in results:
        case(part, result)


def case(suite: xml.Element, result: Result) -> None:
    """Add one check in one precision."""
    name = f"{result.check}[{result.precision}]"
    made = xml.SubElement(suite, "testcase", classname=result.page, name=name)
    made.set("time", f"{result.seconds:.3f}")
    if result.status == "failed":
        failure = xml.SubElement(made, "failure", message=clean(result.message), type=result.rule)
        failure.text = clean(outline.of_one(result))
    elif result.status != "passed":
        xml.SubElement(made, "skipped", message=clean(outline.why_not(result)))


def books(root: xml.Element, report: Report) -> None:
    """Add a suite for what is no check: claims, expectations, the sum."""
    problems = outline.problems(report)
    if not report.balanced:
        problems.append(outline.balance(report))
    part = xml.SubElement(root, "testsuite", name="books", tests="1", skipped="0", errors="0")
    part.set("failures", str(int(bool(problems))))
    made = xml.SubElement(part, "testcase", classname="books", name="claims, expectations, sum")
    if problems:
        failure = xml.SubElement(made, "failure", message=clean(problems[0]), type="books")
        failure.text = clean("\n".join(problems))


def clean(text: str) -> str:
    """Return text without the characters that XML cannot hold."""
    return ILLEGAL.sub("?", text)
