"""E5: whatever a learner's file does, there is a message of its own, exit code 1, and soon."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from mindref.study.exercises import child, guard
from mindref.study.exercises.commands import check
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import find

NAME = "squash"
RIGHT = find(NAME).solution
LAST = "return sums * length / (1 + length * length)"

WRONG = {
    "a shape that would stretch": (
        (LAST, "return length / (1 + length * length)"),
        "capsules has shape (1, 3, 1), expected (1, 3, 4): (user=1, interest=3, component=4)",
    ),
    "another type": (
        (LAST, "return (sums * length / (1 + length * length)).astype(np.float32)"),
        "capsules is float32, expected float64",
    ),
    "no number": (
        (LAST, "return sums * np.nan"),
        "capsules[user 0, interest 0, component 0] is nan (12 of 12 entries are)",
    ),
    "an input changed": (
        (LAST, "sums *= length / (1 + length * length)\n    return sums.copy()"),
        "your code changed its input sums: work on a copy",
    ),
    "a view of an input": (
        (LAST, "return sums[:]"),
        "the answer lies in the memory of the input sums: return a new array",
    ),
    "nothing returned": ((LAST, "sums * length"), "got None: is there a `return`?"),
    "a tuple": ((LAST, "return sums, length"), "expected an array, capsules, got a tuple of 2"),
    "a list": ((LAST, "return sums.tolist()"), "got a list of"),
    "objects": ((LAST, "return sums.astype(object)"), "an array of Python objects"),
    "another name": (("def squash", "def squish"), "there is no function squash in the file"),
    "no Python": (("def squash", "def def"), "while the file was read: SyntaxError"),
    "an error on import": (
        ("def squash", "1 / 0\n\n\ndef squash"),
        "your code raised while the file was read: ZeroDivisionError: division by zero, line 6",
    ),
    "an error when called": (
        (LAST, "return sums[7]"),
        "your code raised when it was called: Index",
    ),
    "leaving on import": (
        ("def squash", "import sys\n\nsys.exit(0)\n\n\ndef squash"),
        "your code left the program while the file was read (SystemExit: 0, line 8)",
    ),
    "leaving when called": ((LAST, "raise SystemExit"), "your code left the program when it was"),
    "leaving at once": (
        ("def squash", "import os\n\nos._exit(0)\n\n\ndef squash"),
        "your code ended the program (exit code 0) before it had answered",
    ),
    "a crash": (
        (LAST, "import os\n\n    os.abort()"),
        "your code crashed Python itself (signal 6)",
    ),
    "too much printed": (
        (LAST, f"print('x' * 10**7)\n    {LAST}"),
        "your code printed more than 1 MB: take the print out",
    ),
    "too much memory": (
        (LAST, "return np.empty(3 << 30, np.uint8)"),
        "your code asked for more memory than an answer can need, line 9",
    ),
    "no end of calls": ((LAST, "return squash(sums)"), "RecursionError"),
    "input wanted": ((LAST, "return float(input())"), "EOFError"),
}


def checked(desk: Desk, old: str, new: str) -> tuple[int, str]:
    """Return exit code and report of the solution with an edit."""
    assert RIGHT.count(old) == 1
    desk.folder.mkdir(exist_ok=True)
    desk.file(NAME).write_text(RIGHT.replace(old, new), encoding="utf-8")
    said: list[str] = []
    code = check(NAME, desk, said.append)
    return code, " ".join(" ".join(said).split())


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.slow(every=5)
def test_a_message_of_its_own_and_exit_code_1(desk: Desk, what: str) -> None:
    (old, new), message = WRONG[what]
    code, said = checked(desk, old, new)
    assert code == 1
    assert message in said
    assert not desk.standing(NAME).passed


def test_messages_differ() -> None:
    assert len({message for _, message in WRONG.values()}) == len(WRONG)


@pytest.mark.slow
def test_an_endless_loop_is_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1.0)  # it computes: it is given longer than that
    code, said = checked(desk, LAST, "while True:\n        pass")
    assert code == 1
    assert "is there a loop without an end?" in said


def test_the_limits_are_set_before_the_file_is_read(desk: Desk) -> None:
    lines = """import resource
    for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        print("limit", *resource.getrlimit(what))
    """
    _, said = checked(desk, LAST, lines + LAST)
    for limit in (child.CPU_SECONDS, child.MEMORY, child.WRITTEN):
        assert f"| limit {limit} {limit}" in said


@pytest.mark.slow
def test_time_on_the_processor_ends_it_without_us() -> None:
    script = "from mindref.study.exercises import child\nchild.limit()\nwhile True: pass"
    script = script.replace("child.limit()", "child.CPU_SECONDS = 1\nchild.limit()")
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode in (-signal.SIGKILL, -signal.SIGXCPU)
    assert guard.trouble_of(done.returncode) == guard.trouble_of(None)
    assert child.CPU_SECONDS < guard.SECONDS < 9


def test_on_a_busy_machine_code_that_computes_is_given_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.1)  # less than it takes to begin
    lines = "for _ in range(10**5):\n        sums = sums + 0\n    "
    code, said = checked(desk, LAST, lines + LAST)
    assert code == 0, said


def test_patience_has_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.1)
    monkeypatch.setattr(guard, "PATIENCE", 1.0)
    code, said = checked(desk, LAST, "while True:\n        pass")
    assert code == 1
    assert "is there a loop without an end?" in said


@pytest.mark.parametrize(
    "lines",
    [
        "import time\n\n    time.sleep(1000)",
        "import signal as s, time\n\n    s.signal(s.SIGTERM, s.SIG_IGN)\n    time.sleep(99)",
    ],
)
def test_one_that_sleeps_is_ended_by_the_clock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1.0)
    code, said = checked(desk, LAST, lines)
    assert code == 1
    assert "was stopped" in said


ESCAPES = """import subprocess, sys
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], start_new_session=True)
    """


def test_a_grandchild_that_holds_the_pipe_holds_nobody_up(desk: Desk) -> None:
    began = time.monotonic()
    code, _ = checked(desk, LAST, ESCAPES + LAST)
    assert code == 0
    assert time.monotonic() - began < 19, "the parent has waited for the grandchild"


def test_a_few_printed_lines_are_shown_and_do_no_harm(desk: Desk) -> None:
    code, said = checked(desk, LAST, f"print(sums.shape)\n    {LAST}")
    assert code == 0
    assert "| (1, 3, 4)" in said


@pytest.mark.parametrize("text", ["", "{", "[]", "[[]]", '[[{"arrays": 1}]]', "null"])
def test_answers_that_cannot_be_read_are_none(desk: Desk, text: str) -> None:
    """A learner's file knows the folder no less than we do."""
    new = f"import os, sys\n\n    open(sys.argv[1] + '/answers.json', 'w').write({text!r})"
    code, said = checked(desk, LAST, f"{new}\n    os._exit(0)")
    assert code == 1
    assert "ended the program (exit code 0)" in said
