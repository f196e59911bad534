"""The name of a mistake, and the failing cases that it does not explain."""

from __future__ import annotations

from typing import NamedTuple

from mindref.study.exercises.exercise import KnownMistake
from mindref.study.exercises.known_mistakes import (
    CheckedAnswer,
    find_equal_mistake,
    find_fitted_mistake,
    find_partial_mistake,
    find_two_mistakes,
)
from mindref.study.exercises.location import find_location
from mindref.study.exercises.pattern_search import FoundPattern, find_pattern

PATTERN = "pattern "  # the name of a diagnosis that is no known mistake begins with it


class NamedMistake(NamedTuple):
    """The mistake of an answer."""

    name: str
    text: str
    cases: list[int]  # failing cases that it explains


def name_mistake(checked: CheckedAnswer) -> NamedMistake | None:
    """Return the mistake of an answer, or None.

    In this order: a known mistake with the same answers, the same with another parameter, a
    pattern of all failing cases, two known mistakes that explain all of them, a known mistake or a
    pattern of most failing cases, a location.
    """
    failing = checked.failing
    mistake = find_equal_mistake(checked)
    if mistake is not None:
        return NamedMistake(mistake.name, describe_mistake(mistake), failing)
    fitted = find_fitted_mistake(checked)
    if fitted is not None:
        return NamedMistake(fitted[0].name, describe_mistake(*fitted), failing)
    pattern = find_pattern(checked)
    if pattern is None or pattern.cases != failing:
        pair = find_two_mistakes(checked)
        if pair:
            name = " and ".join(mistake.name for mistake, _ in pair)
            return NamedMistake(name, describe_two_mistakes(checked, pair), failing)
        partial = find_partial_mistake(checked)
        if partial is not None:
            return NamedMistake(partial[0].name, describe_mistake(partial[0]), partial[1])
    if pattern is not None:
        return NamedMistake(
            PATTERN + pattern.pattern.name, describe_pattern(checked, pattern), pattern.cases
        )
    location = find_location(checked)
    return NamedMistake(PATTERN + location[0], location[1] + ".", failing) if location else None


def describe_mistake(mistake: KnownMistake, parameter: float | None = None) -> str:
    """Return the sentences of the only mistake of an answer."""
    return f"your answer equals a known mistake: {format_mistake(mistake, parameter)}"


def format_mistake(mistake: KnownMistake, parameter: float | None = None) -> str:
    """Return diagnosis, hint and source of a known mistake as sentences."""
    value = parameter if parameter is not None else float(mistake.parameter or 0)
    seen = f" (Seen in {mistake.seen}.)" if mistake.seen else ""
    diagnosis = mistake.diagnosis.replace("{parameter}", f"{value:.2g}")
    return f"{diagnosis}. {mistake.hint}{seen}"


def describe_two_mistakes(
    checked: CheckedAnswer, pair: list[tuple[KnownMistake, list[int]]]
) -> str:
    """Return two known mistakes, each with its cases, as sentences."""
    texts = ["your answer has two known mistakes."]
    for mistake, cases in pair:
        noun = "case" if len(cases) == 1 else "cases"
        names = quote_names(checked, cases)
        texts.append(f"In the {noun} {names}: {format_mistake(mistake)}")
    return " ".join(texts)


def quote_names(checked: CheckedAnswer, cases: list[int]) -> str:
    """Return the names of cases in quotes."""
    names = [f'"{checked.expected_cases[i].name}"' for i in cases]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def describe_pattern(checked: CheckedAnswer, match: FoundPattern) -> str:
    """Return a pattern as a sentence."""
    name = checked.exercise.returns[match.part].name
    text = f"{name} {match.pattern.text}"
    if match.condition:
        text = f"If {match.condition}, {text}"
    return text if text.endswith("?") else text + "."


def describe_named_mistake(checked: CheckedAnswer, diagnosis: NamedMistake) -> str:
    """Return a diagnosis with its cases, unless it explains all failing cases."""
    unexplained = [i for i in checked.failing if i not in diagnosis.cases]
    if not unexplained:
        if diagnosis.name == checked.exercise.starter_mistake:  # a bug is not revealed
            return "Your file still has the same answers as the starter."
        is_name = diagnosis.name.startswith(PATTERN)  # begins with the name of an array
        return diagnosis.text if is_name else diagnosis.text[0].upper() + diagnosis.text[1:]
    counts = f"{len(diagnosis.cases)} of {len(checked.failing)} failing cases"
    names = quote_names(checked, unexplained)
    verb, noun = ("fails", "case") if len(unexplained) == 1 else ("fail", "cases")
    reasons = {checked.grades[i].text for i in unexplained if checked.grades[i].text}
    reason = f": {reasons.pop()}" if len(reasons) == 1 else ""
    if diagnosis.name == checked.exercise.starter_mistake:  # a bug is not revealed
        return (
            f"In {counts} your file has the same answers as the starter. Your change has an effect"
            f" in the {noun} {names}, but it is not the right one yet."
        )
    return f"In {counts} {diagnosis.text} The {noun} {names} {verb} for another reason{reason}."
