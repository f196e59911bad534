"""A call of the system fails once: the result is right, or a message with exit code 2."""

import re
import shutil
import sys

import pytest

from tests import spec_pages
from tests.injection import outcomes
from tests.injection.__main__ import BEGIN, END
from tests.injection.outcomes import WORKS, Outcome, different, table_row, why_wrong

STEP = 29  # calls between two that fail
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or not (shutil.which("gcc") or shutil.which("clang")),
    reason="needs Linux and a C compiler",
)


@pytest.mark.rules("faults-R1", "faults-R2", "faults-R18")
@pytest.mark.slow(every=6, start=3)
@needs_compiler
@pytest.mark.parametrize("name", WORKS)
def test_no_failing_call_has_a_wrong_outcome(tmp_path, name):
    results = outcomes.outcomes(tmp_path, name, STEP, 2)
    assert results
    assert [x for x in results if x.kind == "wrong"] == []


def result(code, err=""):
    return {"code": code, "err": err}


@pytest.mark.parametrize(
    ("done", "content", "reason"),
    [
        (result(70, "Error: bug"), {"a": b"1"}, "exit code 70: Error: bug"),
        (result(-6), {"a": b"1"}, "exit code -6: "),
        (result(2, "Traceback"), {"a": b"1"}, "a traceback: Traceback"),
        (result(2, "oh"), {"a": b"1"}, "no message: oh"),
        (result(2, "Error: x"), {}, "lost: ['a']"),
        (result(2, "Error: x"), {"a": b"1", ".b.tmp": b""}, "left behind: ['.b.tmp']"),
        (result(2, "Error: x"), {"a": b"x"}, "neither the old nor the new content: ['a']"),
        (result(2, "Error: x"), {"a": b"1"}, ""),
        (result(0), {"a": b"1"}, "exit code 0 with other files: ['a']"),
        (result(0), {"a": b"2", ".b.lock": b""}, ""),
    ],
)
def test_a_wrong_outcome_is_found(done, content, reason):
    assert why_wrong("evaluate", done, content, {"a": b"1"}, {"a": b"2"}) == reason
    assert different({"a": b"1"}, {"a": b"1", "run/index/annoy": b"2", "run/.lock": b""}) == []


def test_the_page_has_a_row_for_each_command_and_no_wrong_outcome():
    text = spec_pages.text("faults")
    table = text[text.index(BEGIN) : text.index(END)]
    rows = re.findall(r"^\| `.*` \((\w+)\) \| (.+) \| (\d+) \| (\d+) \| (\d+) \|$", table, re.M)
    assert [name for name, *_ in rows] == list(WORKS)
    for name, calls, right, message, wrong in rows:
        assert int(wrong) == 0, name
        assert sum(map(int, re.findall(r"\d+", calls))) == int(right) + int(message), name


def test_a_row_counts_calls_and_outcomes():
    results = [Outcome("open", "right"), Outcome("open", "message"), Outcome("mmap", "wrong", "x")]
    row = table_row("evaluate", results)
    assert row == "| `evaluate run` (evaluate) | 1 mmap, 2 open | 1 | 1 | 1 |"
