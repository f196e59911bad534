"""Dtypes and the table of functions agree with the specification page and NumPy."""

import re

import numpy as np
import pytest

from mindref.conformance.bounds import allowances
from mindref.conformance.bounds.precision import TYPES, ULPS, Precision, Ulps
from mindref.errors import ConfigError
from tests import spec_pages


@pytest.mark.rules("numerics-R9")
def test_the_table_of_functions_on_the_page_matches_the_module():
    table = spec_pages.text("numerics").split("| function | worst case")[1].split("\n\n")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines()[2:]]
    table_ulps = {
        name: Ulps(float(worst), float(usual), bool(zero)) for name, worst, usual, *zero in rows
    }
    assert table_ulps == ULPS


@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_units_and_ranges_are_those_of_numpy(name):
    limits = np.finfo(name)
    assert TYPES[name].unit == limits.eps / 2
    assert TYPES[name].largest == limits.max
    small = limits.smallest_subnormal if name == "float16" else limits.smallest_normal
    assert TYPES[name].floor == small


def test_bfloat16_has_the_range_of_float32_and_eight_bits():
    wide, narrow = TYPES["float32"], TYPES["bfloat16"]
    assert narrow.unit == 2.0**-8
    assert narrow.floor == wide.floor
    top = np.array([0x7F7F0000], dtype=np.uint32).view(np.float32)[0]  # the upper half of its bits
    assert narrow.largest == top


def test_a_precision_has_one_two_or_three_names():
    assert Precision.of("float32") == ("float32", "float32", "float32")
    assert Precision.of(("bfloat16", "float32")) == ("bfloat16", "float32", "bfloat16")
    assert Precision.of(["float64", "float32", "float16"]) == ("float64", "float32", "float16")


@pytest.mark.parametrize("names", ["float8", (), ("float32", "int"), ["float32"] * 4])
def test_unknown_names_raise(names):
    with pytest.raises(ConfigError, match="precision: expected one to three of float64, float32"):
        Precision.of(names)  # type: ignore[arg-type]


def test_an_answer_is_rounded_once_if_storage_is_finer():
    def error(*types):
        bounded = allowances(
            lambda wrap: {"x": 2 * wrap(np.array([3.0]))}, Precision.of(types), "worst"
        )
        return bounded.parts["x"].error[0]

    unit = TYPES["bfloat16"].unit
    assert 6 * unit < error("bfloat16", "float32", "float32") < 6 * unit * 1.001
    assert error("float32", "float32", "float32") < 6 * unit * 1e-4
    beyond = allowances(
        lambda wrap: {"x": 2 * wrap(np.array([6e4]))},
        Precision.of(("float16", "float32", "float32")),
        "worst",
    )
    assert np.isinf(beyond.parts["x"].error)
