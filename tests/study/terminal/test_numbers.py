"""T5: every number of every screen, read back, is the number of the trace as it is rounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mindref.study.run import Given, trace_of
from mindref.study.terminal.axes import PLACES_IN
from mindref.study.terminal.finding import main_tensor, round_before, twin
from mindref.study.terminal.numerals import tiny
from mindref.study.terminal.screen import screen
from mindref.study.trace import Step, Tensor, Trace
from tests.study.small import given as small
from tests.study.terminal.conftest import Studied
from tests.study.terminal.reading import is_rounded, tensors_on

NUMBER = r"(-?\d[\d.]*(?:e[-+]\d+)?|-?inf|nan)"


def shown(trace: Trace, at: int, columns: int = 100) -> list[str]:
    return [line.text for line in screen(trace, at, columns, all_=True)]


def text_matches(trace: Trace, tensor: Tensor, text: str, value: Any) -> bool:
    """Return whether a cell is its value; a place along an axis is shown as its title."""
    if tensor.name not in PLACES_IN:
        return is_rounded(text, value)
    return trace.labels[PLACES_IN[tensor.name]][int(value)].endswith(text)


def check_tables(trace: Trace, step: Step, lines: list[str]) -> None:
    if step.id == "serve.top":
        return  # test_t5_the_list_that_is_served
    shapes = {tensor.name: np.shape(tensor.values) for tensor in step.outputs}
    found = tensors_on(lines, shapes)
    assert found.keys() == shapes.keys()
    for tensor in step.outputs:
        texts, values = found[tensor.name], np.asarray(tensor.values)
        for index in np.ndindex(*values.shape):
            assert text_matches(trace, tensor, texts[index], values[index]), (tensor.name, index)


@pytest.mark.parametrize("columns", [60, 100, 400])
def test_t5_every_cell_of_every_step_is_the_number_rounded(
    columns: int, film_club: Studied
) -> None:
    for at, step in enumerate(film_club.trace.steps):
        check_tables(film_club.trace, step, shown(film_club.trace, at, columns))


@pytest.mark.parametrize("settings", [{}, {"power": float("inf")}, {"normalise": True}])
def test_t5_also_of_a_user_without_titles(settings: dict[str, Any]) -> None:
    trace = trace_of(Given(*small(pads=2, **settings)))
    for at, step in enumerate(trace.steps):
        check_tables(trace, step, shown(trace, at))


def test_t5_the_list_that_is_served(film_club: Studied) -> None:
    trace = film_club.trace
    at = len(trace.steps) - 1
    lines = shown(trace, at, 120)
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith("place"))
    for place, item in enumerate(trace.values["top"]):
        row = lines[first + 1 + place].replace(" ^", "")
        number, title, score, by = re.split(r"\s{2,}", row.strip())
        assert number == str(place + 1)
        assert title == f"{item + 1} {trace.labels['item'][item]}"
        assert is_rounded(score, trace.values["best"][item])
        assert by == f"interest {trace.values['brought_by'][item] + 1}"


def test_t5_numbers_beside_the_tables(film_club: Studied) -> None:
    """The number of the step, residuals, both sums of a softmax, and what moved."""
    trace = film_club.trace
    for at, step in enumerate(trace.steps):
        lines = shown(trace, at, 200)
        assert lines[0].startswith(f" {at + 1}/{len(trace.steps)}  {step.id}")
        text = "\n".join(lines)
        residuals = sorted(re.findall(r"residual (\S+?)\)?$", text, re.MULTILINE))
        assert residuals == sorted(tiny(each.residual) for each in step.invariants)
        check_sums(step, lines)
        check_moves(trace, at, lines)


def check_sums(step: Step, lines: list[str]) -> None:
    said = [line for line in lines if line.startswith(" sum over ")]
    weights = [tensor for tensor in step.outputs if tensor.recipe["op"] == "softmax"]
    assert len(said) == sum(len(tensor.axes) for tensor in weights)
    for tensor in weights:
        for k, axis in enumerate(tensor.axes):
            (line,) = (line for line in said if line.startswith(f" sum over {axis}s "))
            totals = np.atleast_1d(tensor.values.sum(axis=k))
            if tensor.recipe["out"][k] == tensor.recipe["over"]:
                (one,) = re.findall(rf"s +{NUMBER}", line)
                assert all(is_rounded(one, total) for total in totals if total)
                assert " ok " in line
            else:
                numbers = re.findall(NUMBER, line.partition("(")[0])
                assert len(numbers) == len(totals)
                assert all(map(is_rounded, numbers, totals))
                assert "need not be 1" in line


def check_moves(trace: Trace, at: int, lines: list[str]) -> None:
    said = [line for line in lines if line.startswith(" since round ")]
    before = round_before(trace, at)
    if before is None:
        assert not said
        return
    tensor = main_tensor(trace.steps[at])
    old = twin(tensor, trace.steps[before])
    if old is None:
        return
    change = tensor.values - old.values
    (number,) = re.findall(rf"  \+?{NUMBER}$", said[0])
    index = np.unravel_index(np.abs(change).argmax(), change.shape)
    assert is_rounded(number, change[index])
    assert f"since round {trace.steps[before].turn} " in said[0]


def test_t5_a_wrong_digit_would_be_seen(film_club: Studied) -> None:
    """The reader of the screens is not blind: one digit changed anywhere in a table is found."""
    trace = film_club.trace
    at = next(i for i, step in enumerate(trace.steps) if step.id == "routing[2].weights")
    lines = shown(trace, at)
    row = next(i for i, line in enumerate(lines) if "Murder at" in line)
    for place in digits_of(lines[row]):
        digit = str((int(lines[row][place]) + 1) % 10)
        wrong = [*lines]
        wrong[row] = lines[row][:place] + digit + lines[row][place + 1 :]
        with pytest.raises(AssertionError):
            check_tables(trace, trace.steps[at], wrong)


def digits_of(line: str) -> Iterator[int]:
    """Yield where the digits of a row stand, behind its title."""
    title = line.index("Manor")
    yield from (i for i, sign in enumerate(line) if i > title and sign.isdecimal())
