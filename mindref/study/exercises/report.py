"""The report of a check: a table of the cases, and one failure in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mindref.study.exercises.diagnosis import NamedMistake, describe_named_mistake, name_mistake
from mindref.study.exercises.exercise import WIDTH, Exercise
from mindref.study.exercises.expected import compute_expected_cases
from mindref.study.exercises.grader import RULES, SMALL, Grade, format_entry, grade_answer
from mindref.study.exercises.iterations import (
    describe_first_wrong_iteration,
    find_first_wrong_iteration,
    make_shorter_job,
    select_iterated_case,
)
from mindref.study.exercises.known_mistakes import CheckedAnswer
from mindref.study.exercises.worker import CaseAnswer, Job

COLUMNS = ("shape", "dtype", "finite")
ERRORS = "rel.err.  abs.err."  # of the entry with the largest relative error


class ExerciseReport(NamedTuple):
    """The result of a check."""

    checked: CheckedAnswer
    diagnosis: NamedMistake | None
    iteration: str = ""  # the first wrong iteration, as a sentence

    @property
    def exercise(self) -> Exercise:
        """Return the exercise."""
        return self.checked.exercise

    @property
    def grades(self) -> Sequence[Grade]:
        """Return the grade of every case."""
        return self.checked.grades

    @property
    def passed(self) -> bool:
        """Return whether every case passes."""
        return not self.checked.failing

    @property
    def first(self) -> int:
        """Return the index of the case to report: the first that fails the earliest rule."""
        return min(range(len(self.grades)), key=lambda i: self.grades[i].rank)


def make_exercise_report(exercise: Exercise, answers: Sequence[CaseAnswer]) -> ExerciseReport:
    """Grade answers and find the mistake that explains them."""
    expected_cases = compute_expected_cases(exercise.name)
    pairs = zip(expected_cases, answers, strict=True)
    grades = [grade_answer(exercise, expected, answer) for expected, answer in pairs]
    checked = CheckedAnswer(exercise, expected_cases, answers, grades)
    return ExerciseReport(checked, name_mistake(checked) if checked.failing else None)


def make_iteration_job(report: ExerciseReport, code: str, file: str = "") -> Job | None:
    """Return the job that finds the first wrong iteration; None if the exercise has none."""
    exercise, cases = report.exercise, report.checked.expected_cases
    case = select_iterated_case(exercise, cases, report.grades)
    return None if case is None else make_shorter_job(exercise, code, file, cases[case])


def add_first_wrong_iteration(
    report: ExerciseReport, answers: Sequence[CaseAnswer]
) -> ExerciseReport:
    """Return a report with the first wrong iteration; answers: of the job above."""
    exercise, cases = report.exercise, report.checked.expected_cases
    case = select_iterated_case(exercise, cases, report.grades)
    first_wrong = (
        None if case is None else find_first_wrong_iteration(exercise, cases[case], answers)
    )
    text = describe_first_wrong_iteration(first_wrong) if first_wrong else ""
    return report._replace(iteration=text)


def format_report(report: ExerciseReport) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from format_case_table(report)
    if not report.passed:
        yield ""
        yield from format_failure(report)
        yield from format_diagnosis(report)
    passing = sum(not grade.failed for grade in report.grades)
    yield f" {passing} of {len(report.grades)} cases pass."
    allowed = f"{report.exercise.tolerance:.0e}, relative to an entry"
    yield f" Allowed error: {allowed}, or to {SMALL:.0%} of the largest entry."


def format_case_table(report: ExerciseReport) -> Iterator[str]:
    """Yield a line for each case."""
    names = [expected.name for expected in report.checked.expected_cases]
    width = max(map(len, names))
    heads = "".join(f"{name:8}" for name in COLUMNS)
    yield f" {'case':{width}}  {heads}{ERRORS}"
    for name, grade in zip(names, report.grades, strict=True):
        yield f" {name:{width}}  {format_case_row(report.exercise, grade)}".rstrip()


def format_case_row(exercise: Exercise, grade: Grade) -> str:
    """Return the cells of a case in the table."""
    cells = "".join(f"{format_check(name, grade):8}" for name in COLUMNS)
    if grade.failed not in ("", "values"):
        return f"{cells}{'-':10}{'-':10}<-- {grade.failed}"
    cells += f"{grade.error:<10.1e}{grade.absolute:<10.1e}"
    if not grade.failed:
        return cells
    index = ", ".join(map(str, grade.entry))
    return f"{cells}<-- {exercise.returns[grade.part].name}" + (f"[{index}]" if index else "")


def format_check(name: str, grade: Grade) -> str:
    """Return ok, no, or - for a rule that was not reached."""
    if grade.failed == name:
        return "no"
    return "ok" if RULES.index(name) < grade.rank else "-"


def format_failure(report: ExerciseReport) -> Iterator[str]:
    """Yield the failure of the first rule, and the terms of a wrong entry."""
    expected, grade = report.checked.expected_cases[report.first], report.grades[report.first]
    yield f" {grade.failed} ({expected.name}):"
    groups = {report.checked.expected_cases[i].group for i in report.checked.failing}
    if len(groups) == 1:  # otherwise the mistake is not one that only this group finds
        purpose = f"purpose of this case: {expected.purpose}"
        yield from textwrap.wrap(purpose, WIDTH, initial_indent="   ", subsequent_indent="   ")
    if grade.failed != "values":
        yield from textwrap.wrap(grade.text, WIDTH, initial_indent="   ", subsequent_indent="   ")
        return
    part = report.exercise.returns[grade.part]
    got = report.checked.answers[report.first].arrays[grade.part][grade.entry]
    closed = expected.arrays[grade.part][grade.entry]
    differences = expected.differences[grade.part]
    values = f"yours {got:.10g}   expected {closed:.10g}"
    if differences is not None:
        values += f"\n   finite difference {differences[grade.entry]:.10g}"
    yield f"   {format_entry(part, grade.entry)}:"
    yield from f"   {values}".splitlines()
    terms = report.exercise.task.explain_entry(expected.inputs, part.name, grade.entry)
    yield f"   expected is the {QUOTIENT if terms.how == 'quotient' else f'{terms.how} of'}"
    printed = terms.numbers[:12]
    width = max(len(name) for name, _ in printed)
    for name, value in printed:
        yield f"     {name:{width}}  {value: .10g}"
    if len(terms.numbers) > len(printed):
        yield f"     and {len(terms.numbers) - len(printed)} more"


QUOTIENT = "first of these numbers divided by the sum of the others"


def format_diagnosis(report: ExerciseReport) -> Iterator[str]:
    """Yield the mistake of the answer, and the first wrong iteration."""
    diagnosis, texts = report.diagnosis, []
    is_starter = diagnosis is not None and diagnosis.name == report.exercise.starter_mistake
    if report.iteration and not is_starter:
        texts.append(report.iteration)
    if diagnosis is not None:
        texts.append(describe_named_mistake(report.checked, diagnosis))
    for text in texts:
        yield ""
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=" ", subsequent_indent=" ", break_on_hyphens=False
        )
