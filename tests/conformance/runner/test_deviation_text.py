"""The text about the number with the largest error: position, digits, error bound."""

import numpy as np

from mindref.conformance.runner.reference import ExpectedArray


def text(value, got, allowed=0.0):
    value = np.array(value)
    return ExpectedArray(value, np.full(value.shape, allowed)).describe_deviation(
        "out", np.array(got)
    )


def test_numbers_have_nine_digits():
    assert text(1 / 3, 0.34, 1e-3).startswith("out is 0.34, expected 0.333333333 ± 0.001 (6.67 ")


def test_numbers_that_agree_in_nine_digits_have_all_digits():
    value = 0.470041806
    above = np.nextafter(value, 1)
    assert text([value, value], [value, above]) == (
        "out[1] is 0.47004180600000006, expected 0.47004180600000001 exactly; "
        "1 of 2 numbers are outside"
    )


def test_equal_ratios_show_the_largest_difference():
    assert text([1.0, 2.0, 3.0], [1 + 1e-15, 2.5, 3.25]).startswith("out[1] is 2.5, expected 2 ")


def test_nan_is_the_largest_difference():
    assert text([1.0, 2.0], [1.5, np.nan]).startswith("out[1] is nan, expected 2 exactly")
