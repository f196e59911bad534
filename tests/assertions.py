"""Assertions of many tests: two evaluations of one formula, a worked example, an error message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import pytest

from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, same_math

Element = TypeVar("Element")


def nonempty(elements: Iterable[Element]) -> list[Element]:
    """Return the elements of a loop with assertions; without an element, nothing is tested."""
    collected = list(elements)
    assert collected, "the loop of this test has no element"
    return collected


def assert_close(got: Any, expected: Any, message: str = "", *, atol: float = VANISHING) -> None:
    """Compare two evaluations of one formula in float64."""
    rtol = same_math(np.float64)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=message)


def assert_equal_arrays(got: Any, expected: Any) -> None:
    """Compare several arrays: dtype, shape and bytes."""
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), "zeros or NaNs differ in bits"


def assert_example(values: Mapping[str, Any], example: Mapping[str, Any]) -> None:
    """Compare values with the numbers that a worked example prints under the same names."""
    for name, value in values.items():
        printed = np.reshape(example[name], np.shape(value))
        np.testing.assert_allclose(value, printed, rtol=0, atol=WORKED_EXAMPLE, err_msg=name)


def raises_exactly(error: type[Exception], message: str) -> Any:
    """Expect an error with exactly this message."""
    return pytest.raises(error, match=rf"^{re.escape(message)}\Z")


def raises_with(error: type[Exception], text: str) -> Any:
    """Expect an error whose message contains this text."""
    return pytest.raises(error, match=re.escape(text))
