"""The report of a check: a table of the cases, and one failure in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mindref.study.exercises.exercise import WIDTH, Exercise, KnownMistake
from mindref.study.exercises.expected import ExpectedCase, compute_expected_cases
from mindref.study.exercises.grader import (
    EQUAL,
    RULES,
    Grade,
    find_factors,
    find_known_mistake,
    format_entry,
    grade_answer,
)
from mindref.study.exercises.worker import CaseAnswer

COLUMNS = ("shape", "dtype", "finite")


class ExerciseReport(NamedTuple):
    """The result of a check."""

    exercise: Exercise
    expected_cases: Sequence[ExpectedCase]
    answers: list[CaseAnswer]
    grades: list[Grade]
    mistake: KnownMistake | None

    @property
    def passed(self) -> bool:
        """Return whether every case passes."""
        return not any(grade.failed for grade in self.grades)

    @property
    def first(self) -> int:
        """Return the index of the case to report: the first that fails the earliest rule."""
        return min(range(len(self.grades)), key=lambda i: self.grades[i].rank)


def make_exercise_report(exercise: Exercise, answers: list[CaseAnswer]) -> ExerciseReport:
    """Grade answers and find the known mistake that they equal."""
    expected_cases = compute_expected_cases(exercise.name)
    pairs = zip(expected_cases, answers, strict=True)
    grades = [grade_answer(exercise, expected, answer) for expected, answer in pairs]
    failed = any(grade.failed for grade in grades)
    mistake = find_known_mistake(exercise, answers) if failed else None
    return ExerciseReport(exercise, expected_cases, answers, grades, mistake)


def format_report(report: ExerciseReport) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from format_case_table(report)
    if not report.passed:
        yield ""
        yield from format_failure(report)
        yield from format_diagnosis(report)
    passing = sum(not grade.failed for grade in report.grades)
    yield f" {passing} of {len(report.grades)} cases pass."


def format_case_table(report: ExerciseReport) -> Iterator[str]:
    """Yield a line for each case."""
    names = [expected.name for expected in report.expected_cases]
    width = max(map(len, names))
    heads = "".join(f"{name:8}" for name in COLUMNS)
    yield f" {'case':{width}}  {heads}max rel. error"
    for name, grade in zip(names, report.grades, strict=True):
        yield f" {name:{width}}  {format_case_row(report.exercise, grade)}".rstrip()


def format_case_row(exercise: Exercise, grade: Grade) -> str:
    """Return the cells of a case in the table."""
    cells = "".join(f"{format_check(name, grade):8}" for name in COLUMNS)
    if not grade.failed:
        return f"{cells}{grade.error:.1e}"
    if grade.failed != "values":
        return f"{cells}-         <-- {grade.failed}"
    index = ", ".join(map(str, grade.entry))
    name = exercise.returns[grade.part].name + (f"[{index}]" if index else "")
    return f"{cells}{grade.error:.1e}   <-- {name}"


def format_check(name: str, grade: Grade) -> str:
    """Return ok, no, or - for a rule that was not reached."""
    if grade.failed == name:
        return "no"
    return "ok" if RULES.index(name) < grade.rank else "-"


def format_failure(report: ExerciseReport) -> Iterator[str]:
    """Yield the failure of the first rule, and the terms of a wrong entry."""
    expected, grade = report.expected_cases[report.first], report.grades[report.first]
    yield f" {grade.failed} ({expected.name}):"
    purpose = f"purpose of this case: {expected.purpose}"
    yield from textwrap.wrap(purpose, WIDTH, initial_indent="   ", subsequent_indent="   ")
    if grade.failed != "values":
        yield from textwrap.wrap(grade.text, WIDTH, initial_indent="   ", subsequent_indent="   ")
        return
    part = report.exercise.returns[grade.part]
    got = report.answers[report.first].arrays[grade.part][grade.entry]
    closed = expected.arrays[grade.part][grade.entry]
    differences = expected.differences[grade.part]
    values = f"yours {got:.10g}   expected {closed:.10g}"
    if differences is not None:
        values += f"   finite difference {differences[grade.entry]:.10g}"
    yield f"   {format_entry(part, grade.entry)}:"
    yield f"   {values}"
    terms = report.exercise.task.explain_entry(expected.inputs, part.name, grade.entry)
    yield f"   expected is the {QUOTIENT if terms.how == 'quotient' else f'{terms.how} of'}"
    printed = terms.numbers[:12]
    width = max(len(name) for name, _ in printed)
    for name, value in printed:
        yield f"     {name:{width}}  {value: .10g}"
    if len(terms.numbers) > len(printed):
        yield f"     and {len(terms.numbers) - len(printed)} more"


QUOTIENT = "first of these numbers divided by the sum of the others"


def format_factor(report: ExerciseReport) -> Iterator[str]:
    """Yield the factor between answer and right answer, if every case has one."""
    number = report.grades[report.first].part
    factors = find_factors(report.expected_cases, report.answers, number)
    if factors and report.grades[report.first].failed == "values":
        constant = max(factors) - min(factors) < EQUAL
        text = f"{factors[0]:.6g}" if constant else ", ".join(f"{x:.4g}" for x in factors)
        cases = "in every case" if constant else "in the cases above"
        yield ""
        yield f" {report.exercise.returns[number].name} is the right answer times {text} {cases}."


def format_diagnosis(report: ExerciseReport) -> Iterator[str]:
    """Yield the known mistake of the answer; a bug to find is not revealed."""
    exercise, mistake = report.exercise, report.mistake
    if mistake is None:
        yield from format_factor(report)
        return
    yield ""
    if mistake.name == exercise.starter_mistake:
        yield " Your file still has the same answers as the starter."
        return
    seen = f" (Seen in {mistake.seen}.)" if mistake.seen else ""
    text = f"Your answer equals a known mistake: {mistake.diagnosis}. {mistake.hint}{seen}"
    yield from textwrap.wrap(text, WIDTH, initial_indent=" ", subsequent_indent=" ")
