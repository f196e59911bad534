"""The report as JUnit XML for CI servers: one `testsuite` per page, one `testcase` per result."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree as xml

from mindref.conformance.report import summary
from mindref.conformance.runner.result import CheckResult, ConformanceReport

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids."""

FAILURES = ("failed", "blocked")
"""Statuses that CI servers show as failures."""


def junit_text(report: ConformanceReport) -> str:
    """Return the XML of `report`.

    Blocked results are failures of the type "blocked" (conformance-R26). A check that was not
    claimed, a self-comparison and an expected failure are "skipped".
    """
    root = xml.Element("testsuites", name=f"mindref conform {strip_illegal(report.backend)}")
    results = sorted(report.results, key=lambda r: r.page)
    for page, group in groupby(results, key=lambda r: r.page):
        add_suite(root, page, list(group))
    add_run_suite(root, report)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(part.get(name, "0")) for part in root)))
    xml.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{declaration}\n{xml.tostring(root, encoding='unicode')}\n"


def add_suite(root: xml.Element, page: str, results: list[CheckResult]) -> None:
    """Add a `testsuite` with the results of one page to `root`."""
    failed = sum(r.status in FAILURES for r in results)  # conformance-R26
    skipped = sum(r.status not in ("passed", *FAILURES) for r in results)
    counts = {"tests": len(results), "failures": failed, "skipped": skipped, "errors": 0}
    part = xml.SubElement(root, "testsuite", name=page)
    for name, count in counts.items():
        part.set(name, str(count))
    part.set("time", f"{sum(r.seconds for r in results):.3f}")
    for result in results:
        add_case(part, result)


def add_case(suite: xml.Element, result: CheckResult) -> None:
    """Add a `testcase` for `result` to `suite`."""
    name = f"{result.check}[{result.precision}]"
    element = xml.SubElement(suite, "testcase", classname=result.page, name=name)
    element.set("time", f"{result.seconds:.3f}")
    if result.status == "failed":
        message = strip_illegal(result.message)
        failure = xml.SubElement(element, "failure", message=message, type=result.rule)
        failure.text = strip_illegal(summary.result_text(result))
    elif result.status == "blocked":
        message = strip_illegal(summary.not_passed_reason(result))
        xml.SubElement(element, "failure", message=message, type="blocked")
    elif result.status != "passed":
        xml.SubElement(element, "skipped", message=strip_illegal(summary.not_passed_reason(result)))


def add_run_suite(root: xml.Element, report: ConformanceReport) -> None:
    """Add a `testsuite` that fails if `report.problems` is not empty or a result is missing."""
    problems = summary.report_problems(report)
    if not report.complete:
        reason = f" ({report.stopped})" if report.stopped else ""
        problems.append(summary.count_line(report) + reason)
    part = xml.SubElement(root, "testsuite", name="run", tests="1", skipped="0", errors="0")
    part.set("failures", str(int(bool(problems))))
    name = "claims, expectations, number of checks"
    element = xml.SubElement(part, "testcase", classname="run", name=name)
    if problems:
        failure = xml.SubElement(element, "failure", message=strip_illegal(problems[0]), type="run")
        failure.text = strip_illegal("\n".join(problems))


def strip_illegal(text: str) -> str:
    """Return `text` with "?" in place of each character that XML forbids."""
    return ILLEGAL.sub("?", text)
