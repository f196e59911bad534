"""Numbers in sentences have a minus sign, few digits, and no exponent of Python."""

import pytest

from mindref.study.number_texts import format_fixed, format_short, format_tiny


@pytest.mark.parametrize(
    ("text", "expected"),
    [(format_fixed(-0.254, 2), "−0.25"), (format_fixed(-0.001, 2), "0.00"),
     (format_short(4.0), "4.0"), (format_short(0.0026), "0.0026"), (format_short(8.4e-7), "8.4e−7"),
     (format_short(0.001034, 3), "0.00103"), (format_tiny(0.9999999999999996), "1"),
     (format_tiny(1.0), "1"), (format_tiny(5.7031e-16), "5.7e−16"),
     (format_tiny(-0.4021), "−0.402"),
     (format_tiny(14.0), "14"), (format_tiny(0.0), "0")],
)  # fmt: skip
def test_a_number_has_its_text(text, expected):
    assert text == expected
