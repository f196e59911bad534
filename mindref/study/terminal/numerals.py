"""Numbers as they are printed: one form for a whole table, so that its columns can be compared.

What is printed is the value rounded, nothing else: `float(text)` is that value again. An exact
zero is "0": it was masked, cut off by a ReLU, or nothing flows there; "0.000" is merely small.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

DECIMALS = 3
MOST_DECIMALS = 5
SMALLEST, LARGEST = 1e-3, 1e5  # outside, a power of ten is easier to read than zeros


def form(values: Any, more: int = 0) -> str:
    """Return the format of the numbers of an array: of all of them one.

    Fixed decimals, for three digits of the largest (`more` digits beyond), or a power of ten.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return "d"
    sizes = np.abs(array[np.isfinite(array)])
    top = float(sizes.max(initial=0.0))
    if top and not SMALLEST <= top < LARGEST:
        return f".{2 + more}e"
    digits = 2 - math.floor(math.log10(top)) if top else DECIMALS
    return f".{min(max(digits, DECIMALS), MOST_DECIMALS) + more}f"


def number(value: Any, form: str) -> str:
    """Return one number in a format of `form`; a truth value as yes or no."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if value == 0:
        return "0"
    return f"{float(value):{form}}"


def aligned(value: Any, form: str) -> str:
    """Return one number so that points stand below each other when set flush right."""
    text = number(value, form)
    decimals = int(form[1]) if form.endswith("f") else 0
    return text + " " * (decimals + 1) if text == "0" and decimals else text


def moved(value: float, form: str) -> str:
    """Return a difference with its sign."""
    text = number(value, form)
    return text if text[0] in "-0n" and value <= 0 else f"+{text}"


def exact(value: float) -> str:
    """Return all digits of a number: adding what is printed gives what is printed."""
    return "0" if value == 0 else repr(float(value))


def tiny(value: float) -> str:
    """Return a residual, of which only the size matters."""
    return "0" if value == 0 else f"{value:.1e}"
