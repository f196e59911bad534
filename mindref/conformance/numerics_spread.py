"""How far a NaN or an infinity reaches, and what a mask keeps out. Spec: specs/numerics.md.

Rules numerics-R4, R5 and R13, and those of the operators' pages that say the same of one of them.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.operators import MASKED, for_each_operator
from mindref.conformance.draws.reach import REACHES, Reach, left_out
from mindref.conformance.judging.call import Anything, Call, is_float
from mindref.conformance.judging.judge import Got, Judge

RUBBISH = (np.nan, np.inf, -np.inf, 1e30)


@for_each_operator("numerics-R4", stems=MASKED, gradient=True)
def what_a_mask_leaves_out_has_no_influence(judge: Judge, call: Call) -> None:
    """Rubbish in the places that masks leave out, NaN and infinity included, changes no byte."""
    clean = judge.ask(call)
    for name, out in left_out(call).items():
        x = call.arrays[name]
        rubbish = judge.rng.choice(RUBBISH, size=x.shape).astype(x.dtype)
        dirty = judge.ask(call.change(**{name: np.where(out, rubbish, x)}))
        judge.equal(dirty, clean)


@for_each_operator("numerics-R5", gradient=True)
def a_nan_stays_where_it_belongs(judge: Judge, call: Call) -> None:
    """One NaN makes NaN of its own slice, capsule, row or user, and of nothing else."""
    clean = judge.ask(call)
    for name in REACHES[call.stem]:
        place = drawn_place(judge, call, name)
        if place is None:
            continue
        got = judge.ask(call.change(**{name: replaced(call.arrays[name], place, np.nan)}))
        reach = REACHES[call.stem][name](call, place)
        for part, own in reach.lost.items():
            judge.holds(np.isnan(got[part][own]).all(), f"{name}{list(place)} is NaN, {part} not")
        hold_spared(judge, clean, got, reach)


@for_each_operator("numerics-R13", "numerics-R5")
def an_infinity_gives_no_finite_number(judge: Judge, call: Call) -> None:
    """One infinity gives infinities or NaN in its own part of the result, and nowhere else."""
    call = call.forward_only()
    if call.stem == "relu_layer":  # behind the rectifier -infinity has a limit
        call = call.change(relu=False)
    clean = judge.ask(call)
    for name in REACHES[call.stem]:
        place = drawn_place(judge, call, name)
        if place is None:
            continue
        for bad in infinities(name):
            got = judge.ask(call.change(**{name: replaced(call.arrays[name], place, bad)}))
            reach = REACHES[call.stem][name](call, place)
            finite = np.isfinite(got["out"][reach.lost["out"]])
            judge.holds(not finite.any(), f"{name}{list(place)} is {bad}, out is finite")
            hold_spared(judge, clean, got, reach)


def infinities(name: str) -> tuple[float, ...]:
    """Return those that have no finite limit: a logit of -infinity has weight zero."""
    return (np.inf,) if "logits" in name else (np.inf, -np.inf)


def drawn_place(judge: Judge, call: Call, name: str) -> tuple[int, ...] | None:
    """Return a random place of an array that no mask leaves out; None if there is none."""
    x = call.arrays[name]
    out = np.broadcast_to(left_out(call).get(name, False), x.shape)
    free = np.argwhere(~out)
    return tuple(int(i) for i in judge.rng.choice(free)) if len(free) else None


def replaced(x: Anything, place: tuple[int, ...], value: float) -> Anything:
    """Return x with another number in one place."""
    assert is_float(x)
    changed = np.array(x)
    changed[place] = value
    return changed


def hold_spared(judge: Judge, clean: Got, got: Got, reach: Reach) -> None:
    """Hold what is spared of an answer to what it is without the bad number."""
    shared = [name for name in reach.spared if name in got]
    parts = {name: np.where(reach.spared[name], got[name], clean[name]) for name in shared}
    judge.within(Got(clean.call, {**clean, **parts}), tuple(shared))
