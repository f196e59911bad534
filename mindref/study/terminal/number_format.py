"""Number formats: one format for a whole table, so that its columns can be compared.

The text of a number is its rounded value. An exact zero is printed as "0": the entry was masked,
set to zero by a ReLU, or has no gradient. "0.000" is a small number that is not zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

DECIMALS = 3
MOST_DECIMALS = 5
SMALLEST, LARGEST = 1e-3, 1e5  # other magnitudes are printed with an exponent


def choose_format(values: Any, extra_digits: int = 0) -> str:
    """Return one format for all numbers of an array.

    Three digits of the largest number, plus `extra_digits`, in fixed or exponent notation.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return "d"
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
    return choose_format_for(largest, extra_digits)


def choose_format_for(largest: float, extra_digits: int = 0) -> str:
    """Return the format for numbers with a largest magnitude."""
    if largest and not SMALLEST <= largest < LARGEST:
        return f".{2 + extra_digits}e"
    digits = 2 - math.floor(math.log10(largest)) if largest else DECIMALS
    return f".{min(max(digits, DECIMALS), MOST_DECIMALS) + extra_digits}f"


def format_number(value: Any, number_format: str) -> str:
    """Return a number in a format of `choose_format`; a bool as yes or no."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if value == 0:
        return "0"
    return f"{float(value):{number_format}}"


def align_number(value: Any, number_format: str) -> str:
    """Return a number padded so that decimal points align in a column that is flush right."""
    text = format_number(value, number_format)
    decimals = int(number_format[1]) if number_format.endswith("f") else 0
    return text + " " * (decimals + 1) if text == "0" and decimals else text


def format_change(value: float, number_format: str) -> str:
    """Return a difference with its sign."""
    text = format_number(value, number_format)
    return text if text[0] in "-0n" and value <= 0 else f"+{text}"


def format_exact(value: float) -> str:
    """Return all digits of a number, so that the printed terms add up to the printed total."""
    return "0" if value == 0 else repr(float(value))


def format_magnitude(value: float) -> str:
    """Return a residual or an error with two digits."""
    return "0" if value == 0 else f"{value:.1e}"
