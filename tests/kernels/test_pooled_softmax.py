"""The compiled pooled_softmax agrees with the reference, forward and backward.

The suite checks pooled_softmax in the loss of mind_plus only, so calls and tolerances are here.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mindref.ops
from mindref.backend import OPERATORS
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.errors import ShapeError
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.pooled_softmax import BLOCK_PRODUCTS, backward, forward
from mindref.ops import pooled_softmax
from tests.assertions import raises_exactly
from tests.kernels.cases import TYPES, largest_finite
from tests.ops.loss_cases import EACH_OPTION, NAMES, Case, cases, fixed_case

pytestmark = pytest.mark.slow
"""Compiling takes ten seconds: `.ci/run conformance` runs these tests."""

SHARPNESS = [0.0, 1e-300, 1e-9, 0.3, 1.0, 7.0, 1e300, np.inf]


def agree_with_reference(case, dtype="float64", **numbers):
    """Return the loss, which must agree with the reference, as the gradients; NaN matches NaN."""
    arrays = case.astype(dtype)
    before = [x.tobytes() for x in arrays]
    with np.errstate(invalid="ignore", over="ignore"):  # in the products of bad numbers
        out, saved = forward(*arrays, **numbers)
        got = (out, *backward(1.5, saved))
        second = backward(1.5, saved)
        expected, reference_saved = pooled_softmax.forward(*arrays, **numbers)
        expected_results = (expected, *pooled_softmax.backward(1.5, reference_saved))
    for name, x, y in zip(NAMES, got, expected_results, strict=True):
        assert x.dtype == y.dtype == dtype
        atol = same_math(dtype) * largest_finite(y) + VANISHING
        near = {"rtol": same_math(dtype), "atol": atol}
        np.testing.assert_allclose(x, y, **near, err_msg=f"{name} {numbers}")
    assert [x.tobytes() for x in second] == [x.tobytes() for x in got[1:]]
    assert [x.tobytes() for x in arrays] == before
    return out


@pytest.mark.rules(
    "pooled_softmax-R1", "pooled_softmax-R2", "pooled_softmax-R3", "pooled_softmax-R6",
    "pooled_softmax-R7", "pooled_softmax-R8", "pooled_softmax-R9", "pooled_softmax-R10",
    "pooled_softmax-R11", "pooled_softmax-R14", "pooled_softmax-R15", "pooled_softmax-R16",
)  # fmt: skip
@TYPES
@EACH_OPTION
@given(drawn=cases(), sharpness=st.sampled_from(SHARPNESS))
def test_drawn_cases_agree_with_the_reference(drawn, sharpness, dtype, options):
    agree_with_reference(drawn[0], dtype, sharpness=sharpness, **options)


@pytest.mark.rules("pooled_softmax-R1", "pooled_softmax-R14", "pooled_softmax-R16")
@pytest.mark.parametrize("sharpness", [0.0, 0.3, 1.0, np.inf])
def test_several_blocks_of_users(sharpness):
    """Several blocks, the last one not full, and users of one to five interests."""
    rng = np.random.default_rng(0)
    users, count, negatives, width = 41, 5, BLOCK_PRODUCTS // 64, 3
    assert 2 < users * count * negatives / BLOCK_PRODUCTS < users / 2
    sizes = (users, count, width), (users, width), (negatives, width), (users,), (negatives,)
    interests, target, items, log, logs = (rng.standard_normal(size) for size in sizes)
    active = np.arange(count) < rng.integers(1, count + 1, users)[:, None]
    ids = rng.integers(0, 50, users), rng.integers(0, 50, negatives)
    for dtype in ("float64", "float32"):
        case = Case(interests, active, target, items, *ids, log, logs)
        agree_with_reference(case, dtype, sharpness=sharpness)


@pytest.mark.rules(
    "pooled_softmax-R3", "pooled_softmax-R4", "pooled_softmax-R5", "pooled_softmax-R12",
    "pooled_softmax-R13", "pooled_softmax-R15", "pooled_softmax-R16", "pooled_softmax-R25",
)  # fmt: skip
@pytest.mark.parametrize("sharpness", [*SHARPNESS, 1e-3, 1e-5, 1e-8, 1e-30, 1e-44])
def test_special_calls_agree_with_the_reference(sharpness):
    for case, options in special_calls():
        agree_with_reference(case, sharpness=sharpness, **options)
    agree_with_reference(fixed_case(), "float32", sharpness=sharpness)


def special_calls():
    """Yield calls with equal, inactive, huge and non-finite interests, and with few negatives."""
    case = fixed_case()
    equal = case.interests.copy()
    equal[0, 3] = equal[0, 1]  # they share the weight, or the first has it
    equal[0, [0, 2]] = -10 * equal[0, 1]
    scaled = [scale * case.interests for scale in (0.0, 1e-200, 1.0, 20.0, 1e4, 1e150)]
    for interests in (equal, *scaled):
        yield case._replace(interests=interests), {}
    for garbage in (np.nan, np.inf):
        not_read = np.where(case.active[..., None], case.interests, garbage)
        for normalise in (False, True):
            yield case._replace(interests=not_read), {"normalise": normalise}
    for ids in ([], [1], [1, 1]):  # none, or only hits of the first user
        few = case.first_negatives(len(ids))
        yield few._replace(negative_ids=np.array(ids, np.int64)), {}
    places = [("interests", (0, 2, 1)), ("target", (0, 3)), ("negatives", (2, 3))]
    for (name, index), bad in product([*places, ("negatives", (0, 3))], (np.inf, -np.inf, np.nan)):
        x = getattr(case, name).copy()
        x[index] = bad
        yield case._replace(**{name: x}), {}
    interests, ids, zero = np.array([[[1e200], [1e-200]]]), np.array([1, 2]), np.zeros(1)
    for target, negative in ((1e-200, -1e200), (-1e200, 1e-200)):  # an infinity of weight zero
        items = np.array([[target]]), np.array([[negative]]), ids[:1], ids[1:], zero, zero
        yield Case(interests, np.ones((1, 2), bool), *items), {}


def invalid_calls():
    """Return calls with one invalid argument each."""
    case, fits = fixed_case(), {"sharpness": 1.0}
    return [
        (case._replace(target=case.target[:2]), fits),
        (case._replace(target=case.target.astype("float32")), fits),
        (case._replace(active=case.active.astype(float)), fits),
        (case._replace(active=case.active & False), fits),
        (case._replace(negative_log_expected=np.full(5, -np.inf)), fits),
        (case.first_users(0), fits),
        (case, {"sharpness": -1.0}),
        (case, {"sharpness": 1.0, "temperature": 0.0}),
    ]


@pytest.mark.rules(
    "pooled_softmax-R19", "pooled_softmax-R20", "pooled_softmax-R21", "pooled_softmax-R22",
    "pooled_softmax-R23", "pooled_softmax-R24",
)  # fmt: skip
def test_invalid_inputs_raise_the_error_of_the_reference():
    for damaged, numbers in invalid_calls():
        with pytest.raises(ShapeError) as reference_error:
            pooled_softmax.forward(*damaged, **numbers)
        with raises_exactly(ShapeError, str(reference_error.value)):
            forward(*damaged, **numbers)
    _, saved = forward(*fixed_case(), sharpness=1.0)
    with pytest.raises(ShapeError, match=r"^pooled_softmax: d_out"):
        backward(np.ones(1), saved)


def test_further_operators_are_exposed_but_not_claimed():
    ops = NumbaBackend().ops
    assert not set(mindref.ops.FURTHER) & set(OPERATORS)
    assert set(vars(ops)) == {*OPERATORS, *mindref.ops.FURTHER}
    for stem, module in mindref.ops.FURTHER.items():
        assert getattr(mindref.ops, stem) is module
        assert callable(getattr(ops, stem).backward)
    assert NumbaBackend().capabilities().operators == OPERATORS
