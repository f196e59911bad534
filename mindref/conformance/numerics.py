"""What is asked of the arithmetic of every operator. Spec: specs/numerics.md.

NaN, infinities and masks are in numerics_spread.py.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.operators import CALLS, MASKED, for_each_operator
from mindref.conformance.judging import compare
from mindref.conformance.judging.call import Call, is_float, mapped
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.plan import LOGIC
from mindref.conformance.tolerances import same_math

NOT_OBSERVED = {
    "numerics-R9": "about our own tests",
    "numerics-R11": "about our own checker of gradients",
    "numerics-R12": "about our own checker of gradients",
}

MIXED = tuple(stem for stem in CALLS if stem not in ("softmax", "squash"))  # those have one array


@for_each_operator("numerics-R1")
def integers_are_refused_where_floats_are_asked_for(judge: Judge, call: Call) -> None:
    """Float arrays given as integers are refused, not converted."""
    judge.ask(call)
    whole = mapped(lambda x: np.clip(np.nan_to_num(x), -9, 9).astype(np.int64), call.arrays)
    judge.refuses(call._replace(arrays=whole).forward_only())


@for_each_operator("numerics-R1", stems=MIXED)
def mixed_types_are_refused(judge: Judge, call: Call) -> None:
    """One float array in another type than the rest is refused, not converted."""
    judge.ask(call)
    other = np.float32 if call.dtype == np.float64 else np.float64
    for name, x in call.arrays.items():
        if is_float(x):
            judge.refuses(call.change(**{name: x.astype(other)}))


@for_each_operator("numerics-R2", gradient=True)
def results_have_the_type_of_the_inputs(judge: Judge, call: Call) -> None:
    """The result and every gradient come back in the type of the inputs, whichever it is."""
    judge.ask(call)
    for dtype in claimed(judge):
        for name, x in judge.ask(call.to(dtype)).items():
            fits = name == "rows" or x.dtype == dtype
            judge.holds(fits, f"{name} is of type {x.dtype} for inputs of type {dtype}")


@for_each_operator("numerics-R3", stems=MASKED)
def masks_of_numbers_are_refused(judge: Judge, call: Call) -> None:
    """A mask of integers or floats, zero and one, is refused."""
    judge.ask(call)
    for name in MASKED[call.stem]:
        for dtype in (np.int64, np.uint8, call.dtype):
            judge.refuses(call.change(**{name: call.arrays[name].astype(dtype)}))


@for_each_operator("numerics-R6", gradient=True)
def every_type_agrees_with_float64(judge: Judge, call: Call) -> None:
    """Results are those of float64, within SAME_MATH of the largest entry or the allowed error."""
    got, wanted = judge.ask(call), judge.expected(call)
    for name in [name for name in wanted if name in got]:
        value, allowed = wanted[name].value, wanted[name].allowed
        largest = np.max(np.abs(value), initial=0, where=np.isfinite(value))
        wide = wanted[name]._replace(allowed=np.maximum(allowed, same_math(call.dtype) * largest))
        share = compare.ratio(got[name], wide)
        judge.holds(share <= 1, f"{name} is off by {share:.3g} times SAME_MATH", got, name)


@for_each_operator("numerics-R7", gradient=True)
def inputs_are_left_alone(judge: Judge, call: Call) -> None:
    """Inputs hold the same bytes afterwards, and may be read-only."""
    judge.equal(judge.ask(call, read_only=True), judge.ask(call))


@for_each_operator("numerics-R8", gradient=True)
def the_same_inputs_give_the_same_bytes(judge: Judge, call: Call) -> None:
    """A call gives the same bytes again, at once and after other calls in between; ties too."""
    first, tie = judge.ask(call), judge.ask(tied(call))
    for between in (call, smaller(call), tied(call), smaller(call).forward_only()):
        judge.ask(between)
        judge.equal(judge.ask(call), first)
        judge.equal(judge.ask(tied(call)), tie)


@for_each_operator("backend-R12", gradient=True)
def answers_have_memory_of_their_own(judge: Judge, call: Call) -> None:
    """An answer shares no memory with an input or an earlier answer; later calls leave it alone."""
    for question in (call, smaller(call), call.forward_only()):
        judge.ask(question)  # judge.ask looks at the memory of all that came before


@for_each_operator("numerics-R10", gradient=True)
def finite_inputs_give_finite_results(judge: Judge, call: Call) -> None:
    """From zero to where products reach the largest float, results and gradients are finite."""
    # warnings are not looked at: they are no part of an answer
    judge.ask(call)
    for question in over_the_range(call):
        for name, x in judge.ask(question).items():
            judge.holds(np.isfinite(x).all(), f"{name} is not finite", None, name)


def over_the_range(call: Call) -> list[Call]:
    """Return the call with its floats scaled to where the longest products are still finite.

    They have four factors. Each round of routing brings in two votes, of two factors each, on the
    way forward and back: a gradient through R rounds holds 4 R - 2.
    """
    info = np.finfo(call.dtype)
    factors = 4 * call.numbers.get("iterations", 1)
    largest = float(info.max) ** (1 / factors)
    scales = (0.0, float(info.tiny) ** 0.5, 1e-3, min(1e3, largest), largest)
    return [times(call, scale) for scale in scales]


def claimed(judge: Judge) -> tuple[str, ...]:
    """Return the types that the logic is judged in, those of them that the backend claims."""
    claims = getattr(judge.subject, "claims", None)
    types = LOGIC if claims is None else {entry[0] for entry in claims.dtypes}
    return tuple(dtype for dtype in LOGIC if dtype in types)


def tied(call: Call) -> Call:
    """Return a call of the same shapes in which every number is one, so that all scores tie."""
    numbers = {**call.numbers, **({"power": np.inf} if "power" in call.numbers else {})}
    return call._replace(arrays=mapped(np.ones_like, call.arrays), numbers=numbers)


def smaller(call: Call) -> Call:
    """Return a call of the same shapes with other numbers."""
    return times(call, 0.75)


def times(call: Call, scale: float) -> Call:
    """Return the call with all float arrays scaled, the cotangent as it is."""
    with np.errstate(all="ignore"):  # rubbish in masked places
        return call._replace(arrays=mapped(lambda x: x * x.dtype.type(scale), call.arrays))
