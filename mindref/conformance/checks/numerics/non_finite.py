"""Checks of NaN, infinity and masked values of every operator. Spec: specs/numerics.md.

Rules numerics-R4, R5 and R13, and the rules of operator pages that repeat them.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.call_changes import replace_at
from mindref.conformance.draws.nan_reach import REACHES, NanReach, masked_out
from mindref.conformance.draws.operators import MASKED, for_each_operator
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.context import CallAnswer, CheckContext

GARBAGE = (np.nan, np.inf, -np.inf, 1e30)


@for_each_operator("numerics-R4", stems=MASKED, gradient=True)
def masked_values_have_no_influence(context: CheckContext, call: Call) -> None:
    """NaN, infinity or any number at a masked position must not change any byte of the answer."""
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
        for part, lost in reach.lost.items():
            message = f"{name}{list(position)} is NaN, but {part} is not"
            context.assert_true(np.isnan(got[part][lost]).all(), message)
        assert_unchanged_elsewhere(context, clean, got, reach)


@for_each_operator("numerics-R13, R5")
def infinity_gives_no_finite_result(context: CheckContext, call: Call) -> None:
    """An infinity must give infinity or NaN in the results computed from it, and only there."""
    call = call.forward_only()
    if call.stem == "relu_layer":  # the ReLU of -infinity is 0, which is finite
        call = call.change(relu=False)
    clean = context.run(call)
    for name in REACHES[call.stem]:
        position = draw_position(context, call, name)
        if position is None:
            continue
        # exp(-infinity) is 0, so -infinity as a logit gives finite results
        for bad in (np.inf,) if "logits" in name else (np.inf, -np.inf):
            got = context.run(call.change(**{name: replace_at(call.arrays[name], position, bad)}))
            reach = REACHES[call.stem][name](call, position)
            finite = np.isfinite(got["out"][reach.lost["out"]])
            message = f"{name}{list(position)} is {bad}, but out is finite"
            context.assert_true(not finite.any(), message)
            assert_unchanged_elsewhere(context, clean, got, reach)


def draw_position(context: CheckContext, call: Call, name: str) -> tuple[int, ...] | None:
    """Return a random unmasked position of an array, or None if there is none."""
    x = call.arrays[name]
    out = np.broadcast_to(masked_out(call).get(name, False), x.shape)
    free = np.argwhere(~out)
    return tuple(int(i) for i in context.rng.choice(free)) if len(free) else None


def assert_unchanged_elsewhere(
    context: CheckContext, clean: CallAnswer, got: CallAnswer, reach: NanReach
) -> None:
    """Compare the spared parts of an answer with the answer without the bad number."""
    shared = [name for name in reach.spared if name in got]
    parts = {name: np.where(reach.spared[name], got[name], clean[name]) for name in shared}
    context.assert_matches(CallAnswer(clean.call, {**clean, **parts}), tuple(shared))
