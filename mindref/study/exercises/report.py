"""What the learner reads after a check: a table of the cases, and one failure in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mindref.study.exercises import diagnosis
from mindref.study.exercises.answers import Answer
from mindref.study.exercises.diagnosis import EQUAL, diagnose
from mindref.study.exercises.exercise import Exercise, Mistake
from mindref.study.exercises.expected import Expected, expected
from mindref.study.exercises.judge import RULES, Verdict, judge, place
from mindref.study.exercises.page import WIDTH

COLUMNS = ("shape", "dtype", "finite")


class Report(NamedTuple):
    """All that a check has found."""

    exercise: Exercise
    wanted: Sequence[Expected]
    answers: list[Answer]
    verdicts: list[Verdict]
    mistake: Mistake | None

    @property
    def passed(self) -> bool:
        """Return whether every case passes."""
        return not any(verdict.failed for verdict in self.verdicts)

    @property
    def first(self) -> int:
        """Return the case to tell of: of those that break the earliest rule, the first."""
        return min(range(len(self.verdicts)), key=lambda i: self.verdicts[i].rank)


def report(exercise: Exercise, answers: list[Answer]) -> Report:
    """Judge answers and look for the mistake that they equal."""
    wanted = expected(exercise.name)
    verdicts = judge(exercise, wanted, answers)
    wrong = any(verdict.failed for verdict in verdicts)
    return Report(
        exercise, wanted, answers, verdicts, diagnose(exercise, answers) if wrong else None
    )


def lines(found: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from table(found)
    if not found.passed:
        yield ""
        yield from failure(found)
        yield from slip(found)
    passing = sum(not verdict.failed for verdict in found.verdicts)
    yield f" {passing} of {len(found.verdicts)} cases pass."


def table(found: Report) -> Iterator[str]:
    """Yield a line for each case."""
    width = max(len(want.case.name) for want in found.wanted)
    heads = "".join(f"{name:8}" for name in COLUMNS)
    yield f" {'case':{width}}  {heads}max rel. error"
    for want, verdict in zip(found.wanted, found.verdicts, strict=True):
        yield f" {want.case.name:{width}}  {row(found.exercise, verdict)}".rstrip()


def row(exercise: Exercise, verdict: Verdict) -> str:
    """Return what the table says of a case, behind its name."""
    cells = "".join(f"{mark(name, verdict):8}" for name in COLUMNS)
    if not verdict.failed:
        return f"{cells}{verdict.error:.1e}"
    if verdict.failed != "values":
        return f"{cells}-         <-- {verdict.failed}"
    at = ", ".join(map(str, verdict.entry))
    name = exercise.gives[verdict.part].name + (f"[{at}]" if at else "")
    return f"{cells}{verdict.error:.1e}   <-- {name}"


def mark(name: str, verdict: Verdict) -> str:
    """Return ok, no, or - for a rule that was not reached."""
    if verdict.failed == name:
        return "no"
    return "ok" if RULES.index(name) < verdict.rank else "-"


def failure(found: Report) -> Iterator[str]:
    """Yield what broke the first rule, and where the numbers of a wrong entry come from."""
    want, verdict = found.wanted[found.first], found.verdicts[found.first]
    yield f" {verdict.failed} ({want.case.name}):"
    why = f"this case is there for: {want.group.reason}"
    yield from textwrap.wrap(why, WIDTH, initial_indent="   ", subsequent_indent="   ")
    if verdict.failed != "values":
        yield from textwrap.wrap(verdict.text, WIDTH, initial_indent="   ", subsequent_indent="   ")
        return
    part = found.exercise.gives[verdict.part]
    got = found.answers[found.first].arrays[verdict.part][verdict.entry]
    closed = want.arrays[verdict.part][verdict.entry]
    differences = want.differences[verdict.part]
    beside = f"yours {got:.10g}   expected {closed:.10g}"
    if differences is not None:
        beside += f"   finite difference {differences[verdict.entry]:.10g}"
    yield f"   {place(part, verdict.entry)}:"
    yield f"   {beside}"
    terms = found.exercise.task.terms(want.case.given, part.name, verdict.entry)
    yield f"   expected is the {SAID[terms.how]}"
    shown = terms.numbers[:12]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        yield f"     {name:{width}}  {value: .10g}"
    if len(terms.numbers) > len(shown):
        yield f"     and {len(terms.numbers) - len(shown)} more"


SAID = {
    "sum": "sum of",
    "product": "product of",
    "quotient": "first of these over the sum of the others",
}


def off_by_a_factor(found: Report) -> Iterator[str]:
    """Yield by which factor the part of the worst entry is off, if it is by one in every case."""
    number = found.verdicts[found.first].part
    factors = diagnosis.factors(found.wanted, found.answers, number)
    if factors and found.verdicts[found.first].failed == "values":
        alike = max(factors) - min(factors) < EQUAL
        said = f"{factors[0]:.6g}" if alike else ", ".join(f"{x:.4g}" for x in factors)
        where = "in every case" if alike else "in the cases above"
        yield ""
        yield f" {found.exercise.gives[number].name} is the right answer times {said} {where}."


def slip(found: Report) -> Iterator[str]:
    """Yield which known mistake it is; a bug to find is not given away."""
    exercise, mistake = found.exercise, found.mistake
    if mistake is None:
        yield from off_by_a_factor(found)
        return
    yield ""
    if mistake.name == exercise.planted:
        yield " Your file still answers as the one that you were given."
        return
    seen = f" (Seen in {mistake.seen}.)" if mistake.seen else ""
    text = f"Your answer equals a known slip: {mistake.what}. {mistake.hint}{seen}"
    yield from textwrap.wrap(text, WIDTH, initial_indent=" ", subsequent_indent=" ")
