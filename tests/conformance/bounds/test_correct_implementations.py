"""Correct implementations are within the bound, small mistakes exceed it, values are exact."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision, allowances, run_bounded, value_and_error
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.conformance.runner.reference import evaluate_reference
from tests.assertions import nonempty
from tests.conformance.bounds.cases import CASES, round_inputs
from tests.conformance.bounds.rounded_arrays import (
    implementations,
    maker,
    parts_beyond_bound,
    plain,
)

TYPES = ("float32", "float64")
MIXED = (("bfloat16", "float32"), ("float32", "float64"), "float16")
SEEDS = range(8)
MODES = ("statistical", "worst")
VISIBLE = {"float32": 1e-4, "float64": 1e-11}  # the scale mistakes that must be seen

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # extremes underflow on purpose


def draw_answer(name, seed, types):
    """Return a call of a case whose inputs are representable in the dtype."""
    call = cached_calls(CASES[name], len(SEEDS), 0)[seed]
    return lambda wrap: evaluate_reference(call, round_inputs(wrap, types))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow(every=4)
def test_values_equal_the_reference_bit_for_bit(name):
    for seed in SEEDS:
        answer = draw_answer(name, seed, "float32")
        expected = answer(lambda x: np.asarray(x))
        bounded = run_bounded(answer, Precision.of("float32"), "statistical")
        for part, value in bounded.items():
            np.testing.assert_array_equal(value_and_error(value)[0], expected[part], err_msg=part)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow(every=9)
def test_correct_implementations_are_within_the_bound(name, types, mode):
    for seed in SEEDS:
        answer = draw_answer(name, seed, types)
        expected = allowances(answer, Precision.of(types), mode)
        assert not expected.doubts
        for wrap in implementations(types):
            assert parts_beyond_bound(answer(wrap), expected) == [], seed


@pytest.mark.parametrize("types", MIXED)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow(every=9)
def test_correct_implementations_of_mixed_precision_are_within_the_bound(name, types):
    stored = types if isinstance(types, str) else types[0]
    for seed in nonempty(SEEDS):
        answer = draw_answer(name, seed, stored)
        expected = allowances(answer, Precision.of(types), "statistical")
        if not expected.doubts:
            result = answer(maker("back", types))
            for part in parts_beyond_bound(result, expected):
                assert np.isinf(plain(result[part])).any(), part


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_a_wrong_scale_exceeds_the_bound(name, types):
    """Holds for three of four draws, in every part that is not zero everywhere."""
    seen = {}
    for seed in (1, 2, 5, 6):
        expected = allowances(draw_answer(name, seed, types), Precision.of(types), "statistical")
        for part, (value, allowed) in expected.parts.items():
            outside = (np.abs(value * VISIBLE[types]) > allowed).any()
            seen.setdefault(part, []).append(bool(outside or not value.any()))
    assert all(sum(draws) >= 3 for draws in seen.values()), seen


@pytest.mark.parametrize("name", CASES)
def test_the_worst_case_bound_exceeds_the_statistical_bound(name):
    answer = draw_answer(name, 2, "float32")
    usual, worst = (allowances(answer, Precision.of("float32"), mode).parts for mode in MODES)
    for part in usual:
        assert np.sum(worst[part].error) >= np.sum(usual[part].error) / 2, part
