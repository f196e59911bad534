"""Numbers in sentences: rounded, with a minus sign, without an exponent where possible."""

from __future__ import annotations

import numpy as np

MIN_POSITIONAL = 1e-5  # smaller numbers have an exponent


def format_fixed(x: float, decimals: int) -> str:
    """Return a number with a fixed number of decimals; 0 has no sign."""
    text = f"{x:.{decimals}f}"
    return text.replace("-", "−" if float(text) else "")


def format_short(x: float, digits: int = 2) -> str:
    """Return a number with significant digits, with a decimal point: 4.0, 0.21, 0.0026, 8.4e−7."""
    if x == int(x):
        return format_fixed(x, 1)
    if abs(x) >= 1:
        return format_fixed(x, 2)
    if abs(x) < MIN_POSITIONAL:
        number, _, power = f"{x:.{digits - 1}e}".partition("e")
        return f"{number}e{int(power)}".replace("-", "−")
    text = np.format_float_positional(x, digits, unique=False, fractional=False, trim="-")
    return text.replace("-", "−")


def format_tiny(x: float) -> str:
    """Return a number as `tiny` of page/script/numbers.js: 0.402, 1, 4.0e−4, 5.7e−16."""
    if x == 0 or not np.isfinite(x):
        return "0" if x == 0 else f"{x}".replace("inf", "∞").replace("-", "−")
    if 0.01 <= abs(x) < 1000:
        return f"{float(f'{x:.3g}'):g}".replace("-", "−")
    number, _, power = f"{x:.1e}".partition("e")
    return f"{number}e{int(power)}".replace("-", "−")
