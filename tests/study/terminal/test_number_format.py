"""T5: a printed number is the rounded value."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.study.terminal.number_format import (
    align_number,
    choose_format,
    format_change,
    format_exact,
    format_magnitude,
    format_number,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def half_last_digit(text: str) -> Decimal:
    """Return half a unit in the last place of a printed number."""
    digits, _, power = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return Decimal("0.5000001").scaleb(int(power or 0) - decimals)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(0, 3))
def test_t5_a_printed_number_is_the_rounded_value(values: list[float], extra: int) -> None:
    number_format = choose_format(values, extra)
    for value in values:
        text = format_number(value, number_format)
        error = abs(Decimal(text) - Decimal(value))  # float("1.80e+308") would be infinite
        assert error <= half_last_digit(text) or float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value) or value == 0
        assert text == align_number(value, number_format).strip()


@given(st.lists(st.floats(1e-3, 1e5, exclude_max=True), min_size=1))
def test_t5_the_largest_number_of_a_table_has_three_significant_digits(values: list[float]) -> None:
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
def test_t5_zero_differs_from_a_small_number(value: float, number_format: str, text: str) -> None:
    assert format_number(value, number_format) == text


def test_t5_decimal_points_align() -> None:
    column = [align_number(value, ".3f").rjust(8) for value in (0.25, 0.0, -1.5)]
    assert column == ["   0.250", "   0    ", "  -1.500"]


@given(st.floats(0, 1e300))
def test_t6_exact_digits_parse_to_the_same_number(value: float) -> None:
    assert float(format_exact(value)) == value
    assert format_magnitude(value) == "0" or float(format_magnitude(value)) == pytest.approx(
        value, rel=0.05
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.241, "+0.241"), (-0.241, "-0.241"), (0.0, "0"), (0.0001, "+0.000")]
)
def test_t5_a_change_has_its_sign(value: float, text: str) -> None:
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
def test_t5_a_table_has_one_format(values: list[float], number_format: str) -> None:
    assert choose_format(np.array(values)) == number_format
