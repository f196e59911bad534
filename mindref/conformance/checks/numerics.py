"""Checks of the arithmetic of every operator. Spec: specs/numerics.md.

They test dtypes, unchanged inputs, shared memory, determinism, masked values, NaN and infinity.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.call_changes import replace_at
from mindref.conformance.draws.nan_reach import REACHES, NanReach, masked_out
from mindref.conformance.draws.operators import CALLS, MASKED, for_each_operator
from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import Call, is_float_array, map_floats
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.plan import FULL_PRECISIONS
from mindref.conformance.tolerances import same_math

NOT_OBSERVED = {
    "numerics-R9": "the rule concerns the tests of this repository",
    "numerics-R11": "the rule concerns the gradient checker of the suite",
    "numerics-R12": "the rule concerns the gradient checker of the suite",
}

# all operators except softmax and squash, which take only one float array
MIXED = tuple(stem for stem in CALLS if stem not in ("softmax", "squash"))


@for_each_operator("numerics-R1")
def integer_arrays_raise(context: CheckContext, call: Call) -> None:
    """Integer arrays in place of float arrays must raise an error."""
    context.run(call)
    integers = map_floats(lambda x: np.clip(np.nan_to_num(x), -9, 9).astype(np.int64), call.arrays)
    context.assert_raises(call._replace(arrays=integers).forward_only())


@for_each_operator("numerics-R1", stems=MIXED)
def mixed_dtypes_raise(context: CheckContext, call: Call) -> None:
    """If the float arrays of a call differ in dtype, the call must raise an error."""
    context.run(call)
    for name, x in call.arrays.items():
        if is_float_array(x):
            context.assert_raises(call.change(**{name: x.astype(call.other_dtype)}))


@for_each_operator("numerics-R2", gradient=True)
def results_have_the_dtype_of_the_inputs(context: CheckContext, call: Call) -> None:
    """The result and every gradient must have the dtype of the inputs."""
    context.run(call)
    for dtype in claimed_dtypes(context):
        for name, x in context.run(call.to(dtype)).items():
            fits = name == "rows" or x.dtype == dtype
            context.assert_true(fits, f"{name} has dtype {x.dtype}, expected {dtype} as the inputs")


@for_each_operator("numerics-R3", stems=MASKED)
def non_boolean_masks_raise(context: CheckContext, call: Call) -> None:
    """A mask of integers or floats must raise an error."""
    context.run(call)
    for name in ARGUMENTS[call.stem].masks:
        for dtype in (np.int64, np.uint8, call.dtype):
            context.assert_raises(call.change(**{name: call.arrays[name].astype(dtype)}))


@for_each_operator("numerics-R6", gradient=True)
def every_dtype_matches_float64(context: CheckContext, call: Call) -> None:
    """Results must match float64 within the bound, or SAME_MATH times the largest entry."""
    got, expected = context.run(call), context.expected(call)
    for name in [name for name in expected if name in got]:
        value, allowed = expected[name].value, expected[name].allowed
        largest = np.max(np.abs(value), initial=0, where=np.isfinite(value))
        wide = expected[name]._replace(allowed=np.maximum(allowed, same_math(call.dtype) * largest))
        ratio = wide.largest_error_ratio(got[name])
        message = f"{name} is off by {ratio:.3g} times the tolerance SAME_MATH"
        context.assert_true(ratio <= 1, message, got, name)


@for_each_operator("numerics-R7", gradient=True)
def inputs_are_not_modified(context: CheckContext, call: Call) -> None:
    """A call must not change its inputs and must accept read-only inputs."""
    context.assert_equal(context.run(call, read_only=True), context.run(call))


@for_each_operator("numerics-R8", gradient=True)
def same_inputs_give_the_same_bytes(context: CheckContext, call: Call) -> None:
    """A repeated call must give the same bytes, even after other calls and if scores tie."""
    first, tie = context.run(call), context.run(all_ones_call(call))
    other = other_numbers_call(call)
    for between in (call, other, all_ones_call(call), other.forward_only()):
        context.run(between)
        context.assert_equal(context.run(call), first)
        context.assert_equal(context.run(all_ones_call(call)), tie)


@for_each_operator("backend-R12", gradient=True)
def results_share_no_memory(context: CheckContext, call: Call) -> None:
    """A result must share no memory with an input or an earlier result."""
    for other_call in (call, other_numbers_call(call), call.forward_only()):
        context.run(other_call)  # `run` itself raises if the answer shares memory


@for_each_operator("numerics-R10", gradient=True)
def finite_inputs_give_finite_results(context: CheckContext, call: Call) -> None:
    """If no product in the formulas overflows, finite inputs must give finite results."""
    # an answer has only arrays, so warnings (numerics-R10) are not tested
    context.run(call)
    for other_call in calls_over_range(call):
        for name, x in context.run(other_call).items():
            context.assert_true(np.isfinite(x).all(), f"{name} is not finite", None, name)


def calls_over_range(call: Call) -> list[Call]:
    """Return five copies of `call`, with float arrays scaled by 0 up to a large number.

    A gradient of routing with r iterations has products of 4 r - 2 input numbers. The largest scale
    is the root of order 4 r of the largest float. For other operators, r is 1.
    """
    info = np.finfo(call.dtype)
    factors = 4 * call.numbers.get("iterations", 1)
    largest = float(info.max) ** (1 / factors)
    scales = (0.0, float(info.tiny) ** 0.5, 1e-3, min(1e3, largest), largest)
    return [scale_floats(call, scale) for scale in scales]


def claimed_dtypes(context: CheckContext) -> tuple[str, ...]:
    """Return which of the dtypes float64 and float32 the backend claims."""
    claims = getattr(context.implementation, "claims", None)
    types = FULL_PRECISIONS if claims is None else {entry[0] for entry in claims.dtypes}
    return tuple(dtype for dtype in FULL_PRECISIONS if dtype in types)


def all_ones_call(call: Call) -> Call:
    """Return `call` with ones in all float arrays and infinite power; all scores are then equal."""
    numbers = {**call.numbers, **({"power": np.inf} if "power" in call.numbers else {})}
    return call._replace(arrays=map_floats(np.ones_like, call.arrays), numbers=numbers)


def other_numbers_call(call: Call) -> Call:
    """Return `call` with all float arrays, except the cotangent, multiplied by 0.75."""
    return scale_floats(call, 0.75)


def scale_floats(call: Call, scale: float) -> Call:
    """Return `call` with all float arrays, except the cotangent, multiplied by `scale`."""
    with np.errstate(all="ignore"):  # masked positions may hold NaN and infinity
        return call._replace(arrays=map_floats(lambda x: x * x.dtype.type(scale), call.arrays))


GARBAGE = (np.nan, np.inf, -np.inf, 1e30)  # written to masked positions


@for_each_operator("numerics-R4", stems=MASKED, gradient=True)
def masked_values_have_no_influence(context: CheckContext, call: Call) -> None:
    """A masked value, even NaN or infinity, must not change any byte of the answer."""
    clean = context.run(call)
    for name, out in masked_out(call).items():
        x = call.arrays[name]
        garbage = context.rng.choice(GARBAGE, size=x.shape).astype(x.dtype)
        dirty = context.run(call.change(**{name: np.where(out, garbage, x)}))
        context.assert_equal(dirty, clean)


@for_each_operator("numerics-R5", gradient=True)
def nan_reaches_only_dependent_results(context: CheckContext, call: Call) -> None:
    """If one input number is NaN, exactly the results that are computed from it must be NaN."""
    clean = context.run(call)
    for name in REACHES[call.stem]:
        position = draw_position(context, call, name)
        if position is None:
            continue
        got = context.run(call.change(**{name: replace_at(call.arrays[name], position, np.nan)}))
        reach = REACHES[call.stem][name](call, position)
        for part, becomes_nan in reach.becomes_nan.items():
            message = f"{name}{list(position)} is NaN, but {part} is not"
            context.assert_true(np.isnan(got[part][becomes_nan]).all(), message)
        assert_unchanged_elsewhere(context, clean, got, reach)


@for_each_operator("numerics-R13, R5")
def infinity_gives_no_finite_result(context: CheckContext, call: Call) -> None:
    """If one input is infinite, exactly the results computed from it must be infinite or NaN."""
    call = call.forward_only()
    if call.stem == "relu_layer":  # the ReLU of -infinity is 0, which is finite
        call = call.change(relu=False)
    clean = context.run(call)
    for name in REACHES[call.stem]:
        position = draw_position(context, call, name)
        if position is None:
            continue
        # exp(-infinity) is 0, so a logit of -infinity gives finite results
        for bad in (np.inf,) if "logits" in name else (np.inf, -np.inf):
            got = context.run(call.change(**{name: replace_at(call.arrays[name], position, bad)}))
            reach = REACHES[call.stem][name](call, position)
            finite = np.isfinite(got["out"][reach.becomes_nan["out"]])
            message = f"{name}{list(position)} is {bad}, but out is finite"
            context.assert_true(not finite.any(), message)
            assert_unchanged_elsewhere(context, clean, got, reach)


def draw_position(context: CheckContext, call: Call, name: str) -> tuple[int, ...] | None:
    """Return a random unmasked position of the array `name`, or None if all are masked."""
    x = call.arrays[name]
    out = np.broadcast_to(masked_out(call).get(name, False), x.shape)
    free = np.argwhere(~out)
    return tuple(int(i) for i in context.rng.choice(free)) if len(free) else None


def assert_unchanged_elsewhere(
    context: CheckContext, clean: CallAnswer, got: CallAnswer, reach: NanReach
) -> None:
    """Where `reach.unchanged` is true, compare `got` with the reference answer to `clean.call`."""
    shared = [name for name in reach.unchanged if name in got]
    parts = {name: np.where(reach.unchanged[name], got[name], clean[name]) for name in shared}
    context.assert_matches(CallAnswer(clean.call, {**clean, **parts}), tuple(shared))
