"""T5: what is printed is the value, rounded, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.study.terminal.numerals import aligned, exact, form, moved, number, tiny

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def half_a_digit(text: str) -> float:
    """Return half of one in the last place of a printed number."""
    digits, _, power = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return 0.5000001 * 10.0 ** (int(power or 0) - decimals)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(0, 3))
def test_t5_a_printed_number_is_the_value_rounded(values: list[float], more: int) -> None:
    shape = form(values, more)
    for value in values:
        text = number(value, shape)
        assert abs(float(text) - value) <= half_a_digit(text) or float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value) or value == 0
        assert text == aligned(value, shape).strip()


@given(st.lists(st.floats(1e-3, 1e5, exclude_max=True), min_size=1))
def test_t5_the_largest_of_a_table_has_three_digits_that_say_something(values: list[float]) -> None:
    text = number(max(values), form(values))
    assert len(text.replace(".", "").lstrip("0")) >= 3


@pytest.mark.parametrize(
    ("value", "shape", "text"),
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
def test_t5_zero_is_told_from_small(value: float, shape: str, text: str) -> None:
    assert number(value, shape) == text


def test_t5_points_stand_below_each_other() -> None:
    shown = [aligned(value, ".3f").rjust(8) for value in (0.25, 0.0, -1.5)]
    assert shown == ["   0.250", "   0    ", "  -1.500"]


@given(st.floats(0, 1e300))
def test_t6_exact_digits_are_the_number_itself(value: float) -> None:
    assert float(exact(value)) == value
    assert tiny(value) == "0" or float(tiny(value)) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("value", "text"), [(0.241, "+0.241"), (-0.241, "-0.241"), (0.0, "0"), (0.0001, "+0.000")]
)
def test_t5_a_move_has_its_sign(value: float, text: str) -> None:
    assert moved(value, ".3f") == text


@pytest.mark.parametrize(
    ("values", "shape"),
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
def test_t5_a_table_has_one_form(values: list[float], shape: str) -> None:
    assert form(np.array(values)) == shape
