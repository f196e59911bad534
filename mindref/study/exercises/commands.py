"""What a learner can ask for. Every function prints by way of `echo` and returns an exit code.

0: done, or every case passes; 1: the answer is wrong, or the code misbehaves. Raises MindrefError
for a wrong use, of which the command line makes exit code 2.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from mindref.errors import MindrefError, say
from mindref.study.exercises import NAMES, guard, page
from mindref.study.exercises.answers import Answer, Job
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import Exercise, find
from mindref.study.exercises.expected import job
from mindref.study.exercises.report import Report, lines, report

Echo = Callable[[str], None]


def listing(desk: Desk, echo: Echo) -> int:
    """Print every exercise, and how far the learner is."""
    standings = desk.standings()
    for number, name in enumerate(NAMES, 1):
        standing = standings.get(name)
        state = "passed" if standing and standing.passed else "begun" if standing else ""
        begun = state or ("begun" if desk.file(name).exists() else "")
        line = f" {number:2}  {name:20} {begun:7} {find(name).title}"
        for part in textwrap.wrap(line, page.WIDTH, subsequent_indent=" " * 34):
            echo(part)
    passed = sum(x.passed for x in standings.values())
    echo(f" {passed} of {len(NAMES)} passed. Begin one: mindref study --exercise {following(desk)}")
    return 0


def following(desk: Desk, after: str = "") -> str:
    """Return the first exercise that has not been passed, behind one if there is any there."""
    standings = desk.standings()
    left = [name for name in NAMES if not (name in standings and standings[name].passed)]
    behind = [n for n in left if not after or NAMES.index(n) > NAMES.index(after)]
    return next(iter(behind or left), NAMES[0])


def start(name: str, desk: Desk, echo: Echo) -> int:
    """Print the statement and make the learner's file, unless it is there."""
    exercise = find(name)
    for line in page.statement(exercise):
        echo(line)
    made = desk.create(exercise)
    echo("")
    echo(f"Your file: {desk.file(name)}" + ("" if made else " (it was there, and is as it was)"))
    echo(f"Check it:  mindref study --exercise {name} --check")
    echo("           (or --watch to check at every save, --hint for a hint)")
    return 0


def reset(name: str, desk: Desk, echo: Echo, confirm: Callable[[str], bool]) -> int:
    """Put the starter back, if the learner says yes; the old file is kept beside it."""
    exercise, path = find(name), desk.file(name)
    if path.exists() and not confirm(f"Put the starter in the place of {path}?"):
        echo(f"{path} is as it was.")
        return 0
    kept = desk.reset(exercise)
    echo(f"{path} is the starter" + (f"; your file is {kept}." if kept else "."))
    return 0


def check(name: str, desk: Desk, echo: Echo) -> int:
    """Run the learner's file on every case and print the report."""
    exercise = find(name)
    needed = [find(other) for other in exercise.needs]
    jobs = [job_of(x, desk) for x in (*needed, exercise)]
    desk.note(name, checks=desk.standing(name).checks + 1)  # before it takes time: it may fail
    heard = guard.hear(jobs)
    if heard.printed:
        echo(" Your code printed:")
        for line in heard.printed.splitlines()[:20]:
            echo(f" | {line}")
    if heard.answers is None:
        echo(f" {desk.file(name)}: {heard.trouble}.")
        return 1
    found = first_wrong((*needed, exercise), heard.answers)
    wrong = found.exercise
    if wrong is not exercise:
        echo(f" Exercise {wrong.number}, {wrong.name}, differs first:")
    for line in lines(found):
        echo(line)
    if found.passed:
        return passed(exercise, desk, echo)
    if desk.text(wrong.name) == wrong.starter:
        echo(f" {desk.file(wrong.name)} is still as it was made: it is yours to write.")
    echo(f" For a hint: mindref study --exercise {wrong.name} --hint")
    return 1


def first_wrong(exercises: Sequence[Exercise], answers: list[list[Answer]]) -> Report:
    """Return the report of the first exercise whose answers are wrong, of the last if none are."""
    for exercise, given in zip(exercises, answers, strict=True):
        found = report(exercise, given)
        if not found.passed:
            break
    return found


def job_of(exercise: Exercise, desk: Desk) -> Job:
    """Return the learner's file and what it is asked. Raises DataError where there is none."""
    text = desk.text(exercise.name)
    return job(exercise, text, str(desk.file(exercise.name)), exercise.needs)


def passed(exercise: Exercise, desk: Desk, echo: Echo) -> int:
    """Note that an exercise is passed, and say what is next; nothing moves on by itself."""
    desk.note(exercise.name, passed=True)
    echo(f" Passed. Compare: mindref study --exercise {exercise.name} --solution")
    if all(desk.standing(name).passed for name in NAMES):
        echo(f" All {len(NAMES)} exercises are passed: you have written MIND and its gradients.")
    else:
        echo(f" Next: mindref study --exercise {following(desk, exercise.name)}")
    return 0


def hint(name: str, desk: Desk, echo: Echo) -> int:
    """Print the next of the hints; after the last one, the first again."""
    exercise = find(name)
    given = desk.standing(name).hints
    desk.note(name, hints=given + 1)
    number = given % len(exercise.hints)
    echo(f"Hint {number + 1} of {len(exercise.hints)}:")
    for line in page.wrapped(exercise.hints[number]):
        echo(line)
    return 0


def solution(name: str, desk: Desk, echo: Echo, *, give_up: bool = False) -> int:
    """Print the solution to who has passed or gives up. Raises MindrefError to others."""
    exercise, standing = find(name), desk.standing(name)
    if not (standing.passed or standing.gave_up or give_up):
        todo = "check it, ask for a hint, or see it all the same: --solution --give-up"
        raise MindrefError(say("--solution", f"that {name} has been passed", "it has not", todo))
    if give_up and not standing.passed:
        desk.note(name, gave_up=True)
    echo(exercise.solution.rstrip("\n"))
    return 0
