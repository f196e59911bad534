"""A printed number is the rounded value, in every cell of every screen."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.study.terminal.lookup import (
    find_matching_tensor,
    find_previous_iteration,
    find_step,
    select_main_tensor,
)
from mindref.study.terminal.numbers_and_axes import (
    INDEX_TENSORS,
    align_number,
    choose_format,
    format_change,
    format_exact,
    format_magnitude,
    format_number,
    name_axis,
)
from mindref.study.terminal.screen import format_screen
from mindref.study.terminal.tables import TableLayout, format_tensor
from mindref.study.tracing import trace_pair
from tests.assertions import nonempty
from tests.study.pairs import make_small_pair
from tests.study.terminal.reading import is_rounded, parse_screen

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def half_last_digit(text):
    """Return half a unit in the last place of a printed number."""
    digits, _, power = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return Decimal("0.5000001").scaleb(int(power or 0) - decimals)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(0, 3))
def test_a_printed_number_is_the_rounded_value(values, extra):
    number_format = choose_format(values, extra)
    for value in values:
        text = format_number(value, number_format)
        error = abs(Decimal(text) - Decimal(value))  # float("1.80e+308") would be infinite
        assert error <= half_last_digit(text) or float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value) or value == 0
        assert text == align_number(value, number_format).strip()


@given(st.lists(st.floats(1e-3, 1e5, exclude_max=True), min_size=1))
def test_the_largest_number_of_a_table_has_three_significant_digits(values):
    text = format_number(max(values), choose_format(values))
    assert len(text.replace(".", "").lstrip("0")) >= 3


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (0.0, ".3f", "0"),
        (-0.0, ".3f", "0"),
        (0.0001, ".3f", "0.000"),
        (-0.0001, ".3f", "-0.000"),
        (0.36842, ".3f", "0.368"),
        (1.23e-5, ".2e", "1.23e-05"),
        (float("-inf"), ".3f", "-inf"),
        (float("nan"), ".3f", "nan"),
        (True, "d", "yes"),
        (np.bool_(False), "d", "no"),
        (np.int64(12), "d", "12"),
    ],
)
def test_zero_differs_from_a_small_number(value, number_format, text):
    assert format_number(value, number_format) == text


def test_decimal_points_align():
    column = [align_number(value, ".3f").rjust(8) for value in (0.25, 0.0, -1.5)]
    assert column == ["   0.250", "   0    ", "  -1.500"]


@given(st.floats(0, 1e300))
def test_exact_digits_parse_to_the_same_number(value):
    assert float(format_exact(value)) == value
    assert format_magnitude(value) == "0" or float(format_magnitude(value)) == pytest.approx(
        value, rel=0.05
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.241, "+0.241"), (-0.241, "-0.241"), (0.0, "0"), (0.0001, "+0.000")]
)
def test_a_change_has_its_sign(value, text):
    assert format_change(value, ".3f") == text


@pytest.mark.parametrize(
    ("values", "number_format"),
    [
        ([0.0], ".3f"),
        ([0.9], ".3f"),
        ([0.0132], ".4f"),
        ([0.00132], ".5f"),
        ([0.00032], ".2e"),
        ([123456.0], ".2e"),
        ([np.inf, 2.0], ".3f"),
        ([1, 2], "d"),
        ([], ".3f"),
    ],
)
def test_a_table_has_one_format(values, number_format):
    assert choose_format(np.array(values)) == number_format


NUMBER = r"(-?\d[\d.]*(?:e[-+]\d+)?|-?inf|nan)"


def print_step(trace, step_index, columns=100):
    return [line.text for line in format_screen(trace, step_index, columns, all_=True)]


def text_matches(trace, tensor, text, value):
    """Return whether a text is a value; the text of an index tensor is a title."""
    if tensor.name not in INDEX_TENSORS:
        return is_rounded(text, value)
    return trace.labels[INDEX_TENSORS[tensor.name]][int(value)].endswith(text)


def check_tables(trace, step, lines):
    if step.id == "serve.top":
        return  # test_the_top_items
    shapes = {tensor.name: np.shape(tensor.values) for tensor in step.outputs}
    printed = parse_screen(lines, shapes)
    assert printed.keys() == shapes.keys()
    for tensor in step.outputs:
        texts, values = printed[tensor.name], np.asarray(tensor.values)
        for index in np.ndindex(*values.shape):
            assert text_matches(trace, tensor, texts[index], values[index]), (tensor.name, index)


@pytest.mark.parametrize("columns", [60, 100, 400])
def test_every_cell_of_every_step_is_the_rounded_number(columns, film_club):
    for i, step in enumerate(film_club.trace.steps):
        check_tables(film_club.trace, step, print_step(film_club.trace, i, columns))


@pytest.mark.parametrize("settings", [{}, {"power": float("inf")}, {"normalise": True}])
def test_every_cell_of_a_user_without_titles_is_the_rounded_number(settings):
    trace = trace_pair(make_small_pair(pads=2, **settings))
    for i, step in enumerate(trace.steps):
        check_tables(trace, step, print_step(trace, i))


def test_the_top_items(film_club):
    trace = film_club.trace
    lines = print_step(trace, len(trace.steps) - 1, 120)
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith("place"))
    for rank, item in nonempty(enumerate(trace.values["top"])):
        row = lines[first + 1 + rank].replace(" ^", "")
        number, title, score, interest = re.split(r"\s{2,}", row.strip())
        assert number == str(rank + 1)
        assert title == f"{item + 1} {trace.labels['item'][item]}"
        assert is_rounded(score, trace.values["best"][item])
        assert interest == f"interest {trace.values['brought_by'][item] + 1}"


def test_step_numbers_residuals_sums_and_changes(film_club):
    trace = film_club.trace
    for i, step in enumerate(trace.steps):
        lines = print_step(trace, i, 200)
        assert lines[0].startswith(f" {i + 1}/{len(trace.steps)}  {step.id}")
        text = "\n".join(lines)
        residuals = sorted(re.findall(r"residual (\S+?)\)?$", text, re.MULTILINE))
        assert residuals == sorted(format_magnitude(x.residual) for x in step.invariants)
        check_sums(step, lines)
        check_change(trace, i, lines)


def check_sums(step, lines):
    sum_lines = [line for line in lines if line.startswith(" sum over ")]
    weights = [tensor for tensor in step.outputs if tensor.recipe["op"] == "softmax"]
    assert len(sum_lines) == sum(len(tensor.axes) for tensor in weights)
    for tensor in weights:
        for k, axis in enumerate(tensor.axes):
            (line,) = (
                line for line in sum_lines if line.startswith(f" sum over {name_axis(axis)}s ")
            )
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


def check_change(trace, step_index, lines):
    change_lines = [line for line in lines if line.startswith(" since iteration ")]
    previous = find_previous_iteration(trace, step_index)
    if previous is None:
        assert not change_lines
        return
    tensor = select_main_tensor(trace.steps[step_index])
    old = find_matching_tensor(tensor, trace.steps[previous])
    if old is None:
        return
    change = tensor.values - old.values
    (number,) = re.findall(rf"  \+?{NUMBER}$", change_lines[0])
    index = np.unravel_index(np.abs(change).argmax(), change.shape)
    assert is_rounded(number, change[index])
    assert f"since iteration {trace.steps[previous].number} " in change_lines[0]


def test_a_wrong_digit_fails_the_check(film_club):
    """`check_tables` fails if one digit of a row is changed."""
    trace = film_club.trace
    step_index = find_step(trace, "routing[2].weights")
    lines = print_step(trace, step_index)
    row = next(i for i, line in enumerate(lines) if "Murder at" in line)
    title = lines[row].index("Manor")
    columns = [i for i, x in enumerate(lines[row]) if i > title and x.isdecimal()]
    for column in nonempty(columns):
        digit = str((int(lines[row][column]) + 1) % 10)
        wrong = [*lines]
        wrong[row] = lines[row][:column] + digit + lines[row][column + 1 :]
        with pytest.raises(AssertionError):
            check_tables(trace, trace.steps[step_index], wrong)


def marked_tables(trace):
    """Return of each table with titled columns: the name of the tensor, its marks, its sizes."""
    layout = TableLayout(400, all_=True)
    for step in trace.steps:
        for tensor in step.outputs:
            array = np.asarray(tensor.values)
            if array.ndim == 2 and tensor.axes[1] == "interest":
                lines = [x.text for x in format_tensor(trace, tensor, layout)]
                yield tensor, array, lines[1:]


def test_logits_have_no_mark_and_gradients_have_their_own(film_club):
    logits = gradients = others = 0
    active = np.asarray(film_club.trace.values["active"])
    for tensor, array, lines in marked_tables(film_club.trace):
        text = "\n".join(lines)
        if re.fullmatch(r"b\[[123]\]", tensor.name):
            logits += 1
            assert " ^" not in text
            assert " *" not in text
        elif array.dtype == np.float64 and len(lines) == len(array):
            sign, other = ("*", "^") if tensor.name.startswith("d_") else ("^", "*")
            gradients, others = gradients + (sign == "*"), others + (sign == "^")
            assert f" {other}" not in text
            for row, line in zip(array[:, active], lines, strict=True):
                cells = re.split(r"\s{2,}", line.strip())[-active.size :]
                marked = [k for k, cell in enumerate(cells) if cell.endswith(f" {sign}")]
                sizes = abs(row) if sign == "*" else row
                assert marked == ([int(sizes.argmax())] if np.ptp(sizes) else [])
    assert logits == 3
    assert gradients >= 4
    assert others >= 4
