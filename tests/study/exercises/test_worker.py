"""The worker: solutions pass in 3 seconds, every failure has its own message."""

import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mindref.study.exercises import NAMES, sandbox, worker
from mindref.study.exercises.commands import check_exercise
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.worker import CaseAnswer, Job
from tests.study.exercises.conftest import write_answer

pytestmark = pytest.mark.slow

NAME = "squash"
RIGHT = find_exercise(NAME).solution
LAST = "return sums * length / (1 + length * length)"

WRONG = {
    "a shape that would broadcast": (
        (LAST, "return length / (1 + length * length)"),
        "capsules has shape (1, 3, 1), expected (1, 3, 4): (user=1, interest=3, component=4)",
    ),
    "another dtype": (
        (LAST, "return (sums * length / (1 + length * length)).astype(np.float32)"),
        "capsules is float32, expected float64",
    ),
    "not a number": (
        (LAST, "return sums * np.nan"),
        "capsules[user 0, interest 0, component 0] is nan (12 of 12 entries are not finite)",
    ),
    "an input changed": (
        (LAST, "sums *= length / (1 + length * length)\n    return sums.copy()"),
        "your code changed its input sums: work on a copy",
    ),
    "a view of an input": (
        (LAST, "return sums[:]"),
        "the answer shares memory with the input sums: return a new array",
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
    "exit on import": (
        ("def squash", "import sys\n\nsys.exit(0)\n\n\ndef squash"),
        "your code ended the program while the file was read (SystemExit: 0, line 8)",
    ),
    "exit when called": ((LAST, "raise SystemExit"), "your code ended the program when it was"),
    "exit at once": (
        ("def squash", "import os\n\nos._exit(0)\n\n\ndef squash"),
        "your code ended the program (exit code 0) before it returned an answer",
    ),
    "a crash": (
        (LAST, "import os\n\n    os.abort()"),
        "your code crashed Python itself (signal 6)",
    ),
    "too much printed": (
        (LAST, f"print('x' * 10**7)\n    {LAST}"),
        "your code printed more than 1 MB: remove the print",
    ),
    "too much memory": (
        (LAST, "return np.empty(3 << 30, np.uint8)"),
        "your code requested more memory than an answer can need, line 9",
    ),
    "endless recursion": ((LAST, "return squash(sums)"), "RecursionError"),
    "reading input": ((LAST, "return float(input())"), "EOFError"),
}


def check_edit(workspace, old, new):
    """Return exit code and report of the solution with an edit."""
    assert RIGHT.count(old) == 1
    write_answer(workspace, NAME, RIGHT.replace(old, new))
    lines = []
    code = check_exercise(NAME, workspace, lines.append)
    return code, " ".join(" ".join(lines).split())


@pytest.mark.parametrize("failure", WRONG)
@pytest.mark.slow(every=5)
def test_a_failure_has_its_message_and_exit_code_1(workspace, failure):
    (old, new), message = WRONG[failure]
    code, report = check_edit(workspace, old, new)
    assert code == 1
    assert message in report
    assert not workspace.get_progress(NAME).passed


def test_every_failure_has_another_message():
    assert len({message for _, message in WRONG.values()}) == len(WRONG)


LOOP = "while True:\n        pass"
SLEEP = "import time\n\n    time.sleep(1000)"
DEAF = "import signal as s, time\n\n    s.signal(s.SIGTERM, s.SIG_IGN)\n    time.sleep(99)"


@pytest.mark.parametrize(
    ("lines", "seconds", "patience", "message"),
    [
        pytest.param(LOOP, 1.0, sandbox.PATIENCE, "(an endless loop?)", marks=pytest.mark.slow),
        (LOOP, 0.1, 1.0, "(an endless loop?)"),  # code that computes has `patience` seconds
        pytest.param(SLEEP, 1.0, sandbox.PATIENCE, "was stopped", marks=pytest.mark.slow),
        (DEAF, 1.0, sandbox.PATIENCE, "was stopped"),
    ],
)
def test_code_that_does_not_end_is_stopped(
    workspace, monkeypatch, lines, seconds, patience, message
):
    monkeypatch.setattr(sandbox, "SECONDS", seconds)
    monkeypatch.setattr(sandbox, "PATIENCE", patience)
    code, report = check_edit(workspace, LAST, lines)
    assert code == 1
    assert message in report


def test_the_limits_are_set_before_the_file_is_read(workspace):
    lines = """import resource
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        print("limit", *resource.getrlimit(kind))
    """
    _, report = check_edit(workspace, LAST, lines + LAST)
    for limit in (worker.CPU_SECONDS, worker.MEMORY, worker.WRITTEN):
        assert f"| limit {limit} {limit}" in report


@pytest.mark.slow
def test_the_cpu_limit_stops_a_worker_without_its_parent():
    script = "from mindref.study.exercises import worker\nworker.CPU_SECONDS = 1\n"
    script += "worker.limit_resources()\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode in (-signal.SIGKILL, -signal.SIGXCPU)
    assert sandbox.describe_worker_failure(done.returncode) == sandbox.describe_worker_failure(None)
    assert worker.CPU_SECONDS < sandbox.SECONDS < 9


def test_code_that_computes_has_more_time_on_a_busy_machine(workspace, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 0.1)  # less than the start takes
    lines = "for _ in range(10**5):\n        sums = sums + 0\n    "
    code, report = check_edit(workspace, LAST, lines + LAST)
    assert code == 0, report


ESCAPES = """import subprocess, sys
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], start_new_session=True)
    """


def test_a_grandchild_with_the_output_open_is_not_waited_for(workspace):
    started = time.monotonic()
    code, _ = check_edit(workspace, LAST, ESCAPES + LAST)
    assert code == 0
    assert time.monotonic() - started < 19, "the parent waited for the grandchild"


def test_a_few_printed_lines_are_shown_and_the_answer_passes(workspace):
    code, report = check_edit(workspace, LAST, f"print(sums.shape)\n    {LAST}")
    assert code == 0
    assert "| (1, 3, 4)" in report


@pytest.mark.parametrize("text", ["", "{", "[]", "[[]]", '[[{"arrays": 1}]]', "null"])
def test_answers_that_cannot_be_read_are_a_failure(workspace, text):
    """A learner's file can write to the folder of the answers."""
    new = f"import os, sys\n\n    open(sys.argv[1] + '/answers.json', 'w').write({text!r})"
    code, report = check_edit(workspace, LAST, f"{new}\n    os._exit(0)")
    assert code == 1
    assert "ended the program (exit code 0)" in report


def read_cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in used)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow(every=8)
def test_a_solution_passes_within_3_seconds(workspace, name):
    exercise, lines = find_exercise(name), list[str]()
    for written in (*exercise.needs, name):
        write_answer(workspace, written)
    started = read_cpu_seconds()
    assert check_exercise(name, workspace, lines.append) == 0, "\n".join(lines)
    assert read_cpu_seconds() - started < 3
    assert workspace.get_progress(name).passed


def test_written_jobs_and_answers_are_read_without_a_change(tmp_path):
    case = {"x": np.array([[0.1, np.nan]]), "mask": np.array([True]), "power": np.inf, "array": "a"}
    job = Job("n", "n.py", "def f(): pass", "f", 2, (case, {}), ("other",))
    worker.store_rows(tmp_path, "jobs", [job])
    (restored,) = worker.read_jobs(tmp_path)
    assert restored._replace(cases=()) == job._replace(cases=())
    assert list(restored.cases[0]) == list(case)
    assert restored.cases[0]["x"].tobytes() == case["x"].tobytes()  # type: ignore[attr-defined]
    assert (restored.cases[0]["power"], restored.cases[0]["array"]) == (np.inf, "a")
    answers = [
        CaseAnswer(arrays=(np.ones(2), np.array(1.5)), views=("x",)),
        CaseAnswer(raised="E: x"),
    ]
    worker.store_rows(tmp_path, "answers", [answers])
    (result,) = worker.read_answers(tmp_path, [job]) or [[]]
    assert result[1] == answers[1]
    assert [x.tolist() for x in result[0].arrays] == [[1, 1], 1.5]
    assert result[0].views == ("x",)
    with pytest.raises(TypeError, match="int64"):
        worker.store_rows(tmp_path, "answers", [CaseAnswer(line=np.int64(3))])  # type: ignore[arg-type]


def test_a_wrong_number_of_answers_and_pickled_answers_are_rejected(tmp_path):
    job = Job("n", "n.py", "", "f", 1, ({}, {}))
    answers = [CaseAnswer(arrays=(np.ones(1),))]
    worker.store_rows(tmp_path, "answers", [answers])
    assert worker.read_answers(tmp_path, [job]) is None
    worker.store_rows(tmp_path, "answers", [answers * 2])
    assert worker.read_answers(tmp_path, [job]) is not None
    np.savez(tmp_path / "answers.npz", *np.full((2, 1), print, dtype=object))
    assert worker.read_answers(tmp_path, [job]) is None


def test_the_worker_imports_the_mindref_of_its_parent(workspace, tmp_path, monkeypatch):
    """Another mindref is earlier on the path than the installed one."""
    other = tmp_path / "other"
    (other / "mindref").mkdir(parents=True)
    (other / "mindref" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(other))
    lines = []
    write_answer(workspace, "squash")
    assert check_exercise("squash", workspace, lines.append) == 0, "\n".join(lines)
