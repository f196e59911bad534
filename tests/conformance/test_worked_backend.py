"""The backends of specs/backend.md: the worked one conforms, the walk-through is as quoted."""

import re
import subprocess
import sys

import pytest

from tests import spec_pages

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
COMMAND = "conform --backend {module}:Mine --profile smoke"
PROGRESS = re.compile(r"\w+: \d+ of \d+ checks(; all pages: \d+ of \d+)?, \d+ s")
"""A line of standard error after some seconds."""
GAP = "..."


def block(kind):
    match = re.search(rf"^```\w+ {kind}\n(.*?)^```$", spec_pages.text("backend"), re.M | re.S)
    assert match, f"specs/backend.md has no block {kind}"
    return match[1]


def conform(folder, module, text, *words):
    """Return the exit code and the output of `mindref conform` for a backend with this text."""
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mindref", *COMMAND.format(module=module).split(), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if not PROGRESS.fullmatch(line)] == []
    return done.returncode, done.stdout


def test_the_backends_of_the_page_are_short():
    assert block("worked-backend").count("\n") < 60
    assert sum(bool(line.strip()) for line in block("first-try").splitlines()) < 60


@pytest.mark.slow
def test_the_worked_backend_conforms(tmp_path):
    code, output = conform(tmp_path, "mybackend", block("worked-backend"))
    assert code == 0, output
    assert "ops " in output


@pytest.mark.slow
def test_a_mutation_of_the_worked_backend_is_diagnosed(tmp_path):
    text = block("worked-backend")
    right = "return weights * (d_out - (weights * d_out).sum(axis, keepdims=True))"
    assert text.count(right) == 1
    wrong = text.replace(right, "return weights * d_out")
    code, output = conform(tmp_path, "wrong", wrong, "softmax")
    assert code == 1, output
    assert "softmax-R5" in output
    assert "your result equals the reference with this mistake" in " ".join(output.split())


def corrected():
    """Return the first try of the walk-through with its wrong function replaced."""
    text, right = block("first-try"), block("corrected")
    name = right.partition("(")[0]
    wrong = re.search(rf"^{re.escape(name)}\(.*?\n(?=\n)", text, re.M | re.S)
    assert wrong, f"the first try has no {name}"
    assert wrong[0] != right
    return text.replace(wrong[0], right)


def stable_text(line):
    """Return a line without the digits that depend on the order of summation."""
    line = line.strip()
    return NUMBER.sub("#", line) if " is " in line and "±" in line else line


def assert_quoted(kind, output):
    """Assert that the output has every quoted line, in order, with gaps only at the dots."""
    lines = [stable_text(line) for line in output.splitlines()]
    start, gap = 0, True
    for line in map(stable_text, block(kind).splitlines()):
        if line == GAP:
            gap = True
            continue
        index = lines.index(line, start) if gap else start
        assert lines[index] == line
        start, gap = index + 1, False


def test_the_page_states_the_command():
    assert f"`mindref {COMMAND.format(module='mytorch')} routing`" in spec_pages.text("backend")


@pytest.mark.needs("torch")
def test_the_walk_through_fails_and_conforms_as_quoted(tmp_path):
    for text, expected, report in (
        (block("first-try"), 1, "first-report"),
        (corrected(), 0, "second-report"),
    ):
        code, output = conform(tmp_path, "mytorch", text, "routing")
        assert code == expected
        assert_quoted(report, output)
