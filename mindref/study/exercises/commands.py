"""The commands of an exercise. Every function prints with `echo` and returns an exit code.

0: done, or every case passes; 1: the answer is wrong, or the code fails. A usage error raises
MindrefError, which the command line turns into exit code 2.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mindref.errors import DataError, MindrefError
from mindref.study.exercises import NAMES, sandbox
from mindref.study.exercises.exercise import (
    WIDTH,
    Exercise,
    find_exercise,
    format_statement,
    wrap_paragraphs,
)
from mindref.study.exercises.expected import make_job
from mindref.study.exercises.report import (
    ExerciseReport,
    add_first_wrong_iteration,
    format_report,
    make_exercise_report,
    make_iteration_job,
)
from mindref.study.exercises.worker import CaseAnswer
from mindref.study.exercises.workspace import Workspace

Echo = Callable[[str], None]

PAUSE = 0.1
"""Seconds between two looks at the file."""

FileState = tuple[int, int, int] | None


def list_exercises(workspace: Workspace, echo: Echo) -> int:
    """Print every exercise and the learner's progress."""
    progress = workspace.read_progress()
    for number, name in enumerate(NAMES, 1):
        begun = name in progress or workspace.file_path(name).exists()
        state = "passed" if name in progress and progress[name].passed else "begun" if begun else ""
        line = f" {number:2}  {name:20} {state:7} {find_exercise(name).title}"
        echo(textwrap.fill(line, WIDTH, subsequent_indent=" " * 34))
    passed = sum(x.passed for x in progress.values())
    begin = f"mindref study --exercise {choose_next_exercise(workspace)}"
    echo(f" {passed} of {len(NAMES)} passed. Begin one: {begin}")
    return 0


def choose_next_exercise(workspace: Workspace, after: str = "") -> str:
    """Return the first exercise that is not passed, if possible one after the exercise `after`."""
    progress = workspace.read_progress()
    remaining = [name for name in NAMES if not (name in progress and progress[name].passed)]
    later = [n for n in remaining if not after or NAMES.index(n) > NAMES.index(after)]
    return next(iter(later or remaining), NAMES[0])


def start_exercise(name: str, workspace: Workspace, echo: Echo) -> int:
    """Print the statement and create the learner's file, unless it exists."""
    exercise = find_exercise(name)
    created = workspace.create_file(exercise)  # before the print, which may end at a closed pipe
    echo("\n".join(format_statement(exercise)))
    note = "" if created else " (it already exists and was not changed)"
    echo("")
    echo(f"Your file: {workspace.file_path(name)}{note}")
    echo(f"Check it:  mindref study --exercise {name} --check")
    echo("           (--watch checks at every save, --hint prints a hint)")
    return 0


def reset_exercise(
    name: str, workspace: Workspace, echo: Echo, confirm: Callable[[str], bool]
) -> int:
    """Restore the starter after a confirmation; the old file is kept under another name."""
    exercise, path = find_exercise(name), workspace.file_path(name)
    if path.exists() and not confirm(f"Replace {path} by the starter?"):
        echo(f"{path} was not changed.")
        return 0
    backup = workspace.reset_file(exercise)
    echo(f"{path} is the starter" + (f"; your old file is {backup}." if backup else "."))
    return 0


def check_exercise(name: str, workspace: Workspace, echo: Echo) -> int:
    """Run the learner's file on every case and print the report."""
    exercise = find_exercise(name)
    needed = [find_exercise(other) for other in exercise.needs]
    jobs = [
        make_job(x, workspace.read_file(x.name), str(workspace.file_path(x.name)))
        for x in (*needed, exercise)
    ]
    # before the check, which may be interrupted
    workspace.record(name, checks=workspace.get_progress(name).checks + 1)
    answers, failure, printed = sandbox.run_sandboxed(jobs)
    if printed:
        echo("\n | ".join([" Your code printed:", *printed.splitlines()[:20]]))
    if answers is None:
        echo(f" {workspace.file_path(name)}: {failure}.")
        return 1
    report = find_first_failure((*needed, exercise), answers)
    failed = report.exercise
    job = make_iteration_job(report, workspace.read_file(failed.name))
    if job is not None:
        earlier = [x._replace(cases=()) for x in jobs if x.name in failed.needs]
        shorter, _, _ = sandbox.run_sandboxed([*earlier, job])
        report = add_first_wrong_iteration(report, shorter[-1]) if shorter else report
    if failed is not exercise:
        echo(f" The first failure is in exercise {failed.number}, {failed.name}:")
    echo("\n".join(format_report(report)))
    if report.passed:
        return mark_passed(exercise, workspace, echo)
    if workspace.read_file(failed.name) == failed.starter:
        echo(f" {workspace.file_path(failed.name)} is still the starter: write your solution.")
    echo(f" For a hint: mindref study --exercise {failed.name} --hint")
    return 1


def find_first_failure(
    exercises: Sequence[Exercise], answers: list[list[CaseAnswer]]
) -> ExerciseReport:
    """Return the report of the first exercise with a wrong answer, otherwise of the last one."""
    for exercise, exercise_answers in zip(exercises, answers, strict=True):
        report = make_exercise_report(exercise, exercise_answers)
        if not report.passed:
            break
    return report


def mark_passed(exercise: Exercise, workspace: Workspace, echo: Echo) -> int:
    """Record that an exercise is passed, and print the next one."""
    workspace.record(exercise.name, passed=True)
    echo(f" Passed. Compare: mindref study --exercise {exercise.name} --solution")
    if all(workspace.get_progress(name).passed for name in NAMES):
        echo(f" All {len(NAMES)} exercises are passed: you have written MIND and its gradients.")
    else:
        following = choose_next_exercise(workspace, exercise.name)
        echo(f" Next: mindref study --exercise {following}")
    return 0


def print_hint(name: str, workspace: Workspace, echo: Echo) -> int:
    """Print the next hint; after the last hint, say so and print the first again."""
    exercise = find_exercise(name)
    count = workspace.get_progress(name).hints
    workspace.record(name, hints=count + 1)
    number = count % len(exercise.hints)
    if count and not number:
        echo(f"You have seen all {len(exercise.hints)} hints. Here is the first again.")
    echo(f"Hint {number + 1} of {len(exercise.hints)}:")
    echo("\n".join(wrap_paragraphs(exercise.hints[number])))
    return 0


def print_solution(name: str, workspace: Workspace, echo: Echo, *, give_up: bool = False) -> int:
    """Print the solution of a passed exercise. Otherwise raise MindrefError, unless `give_up`."""
    exercise, progress = find_exercise(name), workspace.get_progress(name)
    if not (progress.passed or progress.gave_up or give_up):
        raise MindrefError("Not passed yet. `--hint` helps; `--solution --give-up` shows it.")
    if give_up and not progress.passed:
        workspace.record(name, gave_up=True)
    echo(exercise.solution.rstrip("\n"))
    return 0


def wait_for_quit(descriptor: int, quit_event: threading.Event) -> None:
    """Set the event after a line with q; return at the end of standard input."""
    text = b""
    with suppress(OSError):
        # sys.stdin has a lock that this thread would hold at exit
        while data := os.read(descriptor, 256):
            *lines, text = (text + data).split(b"\n")
            if any(line.strip().lower() == b"q" for line in lines):
                quit_event.set()
                return


def watch_exercise(name: str, workspace: Workspace, echo: Echo) -> int:
    """Check now and after every save; return the code of the last check, 130 after Ctrl-C."""
    path = workspace.file_path(name)
    state = get_file_state(path)  # before the check: the file may be saved during the check
    code = check_exercise(name, workspace, echo)
    quit_event, descriptor = threading.Event(), find_stdin()
    if descriptor is not None:
        arguments = (descriptor, quit_event)
        threading.Thread(target=wait_for_quit, args=arguments, daemon=True).start()
    echo(f" Watching {path}: save it to check again, q and Enter to end.")
    try:
        while not quit_event.wait(PAUSE):
            new_state = wait_for_stable_file(path, state, quit_event.wait)
            if new_state != state:
                state = new_state
                echo(f" Saved at {time.strftime('%H:%M:%S')}:")
                with suppress(DataError):  # an editor is replacing the file
                    code = check_exercise(name, workspace, echo)
    except KeyboardInterrupt:
        return 130
    return code


def wait_for_stable_file(path: Path, state: FileState, wait: Callable[[float], bool]) -> FileState:
    """Return the state of a file after two equal looks; `state` while there is no file."""
    current = get_file_state(path)
    while current is not None and current != state:
        wait(PAUSE / 2)
        previous, current = current, get_file_state(path)
        if previous == current:
            return current
    return state


def get_file_state(path: Path) -> FileState:
    """Return modification time, inode and size of a file, None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def find_stdin() -> int | None:
    """Return the descriptor of standard input, None without one."""
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None
