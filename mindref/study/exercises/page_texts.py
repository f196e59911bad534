"""The texts of an exercise for the study page."""

from __future__ import annotations

from typing import Any

from mindref.study.exercises import NAMES
from mindref.study.exercises.exercise import (
    ArraySpec,
    Exercise,
    describe_array_spec,
    find_exercise,
    format_call,
    module_stem,
)
from mindref.study.exercises.workspace import Workspace


def list_page_exercises(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every exercise with its texts and the learner's status, in the order of study."""
    progress = workspace.read_progress()
    exercises = []
    for name in NAMES:
        state = progress.get(name)
        status = "passed" if state and state.passed else "started" if state else "open"
        exercises.append({"status": status, **describe_for_page(find_exercise(name))})
    return exercises


def describe_for_page(exercise: Exercise) -> dict[str, Any]:
    """Return names, statement, signature, symbols and starter of an exercise as JSON values."""
    functions = ", ".join(map(module_stem, exercise.needs))
    first = [["functions", f"your functions: {functions}"]] if functions else []
    return {
        "name": exercise.name,
        "title": exercise.title,
        "steps": exercise.steps,
        "statement": exercise.statement.strip("\n"),
        "call": format_call(exercise),
        "arguments": first + [describe_spec(x) for x in exercise.arguments],
        "returns": [describe_spec(x) for x in exercise.returns],
        "symbols": [[symbol, meaning] for symbol, meaning in exercise.symbols.items()],
        "starter": exercise.starter,
    }


def describe_spec(spec: ArraySpec) -> list[str]:
    """Return name and description of an argument or a result."""
    return [spec.name, describe_array_spec(spec)]
