"""Markdown, JUnit and the terminal print the same report."""

import io
from xml.etree import ElementTree as xml

import pytest
from rich.console import Console

from mindref.conformance import plugin
from mindref.conformance.report import junit, markdown, terminal
from tests.conformance.small import FORWARD, GRADIENT, PROPERTY, REFUSAL, report, result

SCRIPT = "a-rather-long-name-of-a-folder-for-scripts/softmax.with.a.rather.long.name.float64.py"


def made(**changes):
    wrong = {"message": "out[0] is <nan>, expected 1\x00", "diagnosis": "late", "script": SCRIPT}
    return report(
        result(FORWARD, "failed", **wrong),
        result(GRADIENT, "blocked", blocked_by="softmax-R1", message="m"),
        result(PROPERTY, seconds=0.5),
        result(REFUSAL, "not_claimed", reason="level | train"),
        **changes,
    )


def test_markdown_has_verdict_badge_failures_and_a_table():
    text = markdown.markdown_text(made(problems=("a stale_line",), remarks=("it *works*",)))
    lines = text.splitlines()
    assert lines[0] == "# mine:Mine does not conform"
    assert lines[2] == "**ops 1/2 · gradients 0/1**"
    assert [line for line in lines if line.startswith("#")][1:] == [
        "## Next steps", "## Problems", "## Failures",
        "### [softmax-R1](specs/softmax.html#softmax-r1)",
        "## Without verdict", "## Remarks", "## Pages",
    ]  # fmt: skip
    assert "- a stale\\_line" in lines
    assert "- it \\*works\\*" in lines
    assert "- 1 not claimed: level \\| train" in lines
    assert f"python {SCRIPT}" in lines
    assert "| softmax | 1 | 1 |  | 1 | 1 |  |  |" in lines


def test_markdown_of_a_backend_that_conforms_has_no_failures():
    text = markdown.markdown_text(report(result()))
    assert text.startswith("# mine:Mine conforms\n")
    assert "## Failures" not in text
    assert "## Problems" not in text


@pytest.mark.rules("conformance-R26")
def test_junit_counts_match_the_report():
    root = xml.fromstring(junit.junit_text(made()))
    assert root.attrib == {
        "name": "mindref conform mine:Mine", "tests": "5", "failures": "2", "skipped": "1",
    }  # fmt: skip
    softmax, run_suite = root
    assert (softmax.get("name"), softmax.get("tests"), softmax.get("time")) == (
        "softmax", "4", "0.500",
    )  # fmt: skip
    assert (run_suite.get("failures"), len(softmax.findall("testcase"))) == ("0", 4)
    failure, blocked = root.iter("failure")
    assert (softmax.get("failures"), softmax.get("skipped")) == ("2", "1")
    assert (blocked.get("type"), blocked.get("message")) == ("blocked", "blocked by softmax-R1: m")
    assert failure.get("type") == "softmax-R1"
    assert failure.get("message") == "out[0] is <nan>, expected 1?"
    assert f"python {SCRIPT}" in str(failure.text)
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == "not claimed: level | train"


def test_junit_fails_for_problems_and_missing_results():
    for wrong in ({"problems": ("stale",)}, {"planned": 2}):
        root = xml.fromstring(junit.junit_text(report(result(), **wrong)))
        assert root.get("failures") == "1"
        (failure,) = root.iter("failure")
        assert failure.get("type") == "run"


def test_junit_merges_repeated_pages():
    results = [result("softmax/a"), result("routing/a", rules=("routing-R1",)), result("softmax/b")]
    root = xml.fromstring(junit.junit_text(report(*results)))
    assert [(s.get("name"), s.get("tests")) for s in root] == [
        ("routing", "1"), ("softmax", "2"), ("run", "1"),
    ]  # fmt: skip


def terminal_lines(report_data, width=60):
    stream = io.StringIO()
    terminal.print_suite_report(report_data, Console(file=stream, width=width, color_system=None))
    return stream.getvalue().splitlines()


def test_the_terminal_prints_rule_numbers_and_an_unwrapped_command():
    lines = terminal_lines(made(problems=("a stale line",)))
    assert "softmax" in lines
    assert any(line.startswith("  softmax-R1 (must) ") for line in lines)
    assert f"      python {SCRIPT}" in lines, "a command is never wrapped"
    assert "problem: a stale line" in lines
    assert lines[-1] == "mine:Mine does not conform"
    assert max(len(line) for line in lines if "python" not in line and "table" not in line) <= 60


def test_the_terminal_ends_with_counts_badge_and_verdict():
    assert terminal_lines(report(result()))[-3:] == [
        "planned 1 = 1 passed + 0 failed", "ops 1/1", "mine:Mine conforms",
    ]  # fmt: skip


def test_every_text_format_shortens_repeated_problems():
    problem = "ran and is not in the manifest: install mindref again"
    long = made(problems=tuple(f"mine/check_{i} [float64] {problem}" for i in range(40)))
    texts = ["\n".join(lines) for lines in (terminal_lines(long, 200), plugin.problem_lines(long))]
    for text in (*texts, markdown.markdown_text(long), junit.junit_text(long)):
        plain = text.replace("\\", "")  # Markdown has signs escaped
        assert plain.count("check_") in (10, 11)  # JUnit has the first in its message as well
        assert f"and 30 more: {problem}" in plain
