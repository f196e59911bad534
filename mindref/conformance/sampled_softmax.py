"""What is asked of sampled softmax: agreement and refusals. Spec: specs/sampled_softmax.md.

The laws of the page are in sampled_softmax_laws.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import frozen, generators, normal, sizes

TEMPERATURES = (1.0, 0.5, 0.1, 2.0)
SCALES = (1.0, 0.1, 2.0)
ITEMS = 6
"""So few that targets stand among the negatives, and negatives twice."""


@st.composite
def calls(
    draw: st.DrawFn,
    *,
    temperatures: tuple[float, ...] = TEMPERATURES,
    normalise: tuple[bool, ...] = (False, True),
    some: bool = False,
) -> Call:
    """Draw users, targets and negatives, ids that hit and repeat, logs of expected counts.

    Now and then, unless `some` are asked for, there are no negatives, and vectors are zero.
    """
    b, s, d = draw(sizes(3))
    s, zero = (s, False) if some else draw(st.sampled_from(((s, False), (s, True), (0, False))))
    rng, scale = draw(generators()), draw(st.sampled_from(SCALES))
    user, target, negatives = (normal(rng, n, d, scale=scale) for n in (b, b, s))
    if zero:
        user, target = (
            frozen(np.where(np.arange(b)[:, None] == i, 0, x)) for i, x in ((1, user), (2, target))
        )
    arrays = {
        "user": user,
        "target": target,
        "negatives": negatives,
        "target_ids": frozen(rng.integers(0, ITEMS, b)),
        "negative_ids": frozen(rng.integers(0, ITEMS, s)),
        "target_log_expected": frozen(np.log(rng.uniform(0.001, 1.5, b))),
        "negative_log_expected": frozen(np.log(rng.uniform(0.001, 1.5, s))),
    }
    numbers = {
        "temperature": draw(st.sampled_from(temperatures)),
        "normalise": draw(st.sampled_from(normalise)),
    }
    return Call("sampled_softmax", arrays, numbers, frozen(np.array(rng.uniform(0.5, 2))))


PLAIN = calls(temperatures=(1.0,), normalise=(False,))


@check(
    "sampled_softmax-R1", "sampled_softmax-R2", draws=PLAIN, stem="sampled_softmax", agreement=True
)
def the_plain_loss_agrees(judge: Judge, call: Call) -> None:
    """Without temperature and normalising, the loss agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "sampled_softmax-R6", draws=calls(normalise=(False,)), stem="sampled_softmax", agreement=True
)
def the_loss_with_a_temperature_agrees(judge: Judge, call: Call) -> None:
    """With a temperature, the loss agrees with the reference."""
    judge.agree(call.forward_only())


@check("sampled_softmax-R7", draws=calls(normalise=(True,)), stem="sampled_softmax", agreement=True)
def the_loss_of_normalised_vectors_agrees(judge: Judge, call: Call) -> None:
    """With vectors of length one, the loss agrees with the reference."""
    judge.agree(call.forward_only())


@check("sampled_softmax-R1", draws=PLAIN, stem="sampled_softmax", gradient=True, agreement=True)
def the_gradient_of_the_user_agrees(judge: Judge, call: Call) -> None:
    """The gradient of the users' vectors agrees with the reference."""
    judge.agree(call, "d_user")


@check("sampled_softmax-R12", draws=PLAIN, stem="sampled_softmax", gradient=True, agreement=True)
def the_gradient_of_the_target_agrees(judge: Judge, call: Call) -> None:
    """The gradient of the targets agrees with the reference."""
    judge.agree(call, "d_target")


@check(
    "sampled_softmax-R11",
    draws=calls(temperatures=(1.0,), normalise=(False,), some=True),
    stem="sampled_softmax",
    gradient=True,
    agreement=True,
)
def the_gradient_of_the_negatives_agrees(judge: Judge, call: Call) -> None:
    """The gradient of the negatives agrees with the reference, place by place."""
    judge.agree(call, "d_negatives")


@check(
    "sampled_softmax-R6",
    draws=calls(normalise=(False,)),
    stem="sampled_softmax",
    gradient=True,
    agreement=True,
)
def gradients_with_a_temperature_agree(judge: Judge, call: Call) -> None:
    """With a temperature, all gradients agree with the reference."""
    judge.agree(call)


@check(
    "sampled_softmax-R8",
    draws=calls(normalise=(True,)),
    stem="sampled_softmax",
    gradient=True,
    agreement=True,
)
def gradients_of_normalised_vectors_agree(judge: Judge, call: Call) -> None:
    """With vectors of length one, all gradients agree with the reference."""
    judge.agree(call)


@check(
    "sampled_softmax-R1", draws=calls(some=True), stem="sampled_softmax", gradient=True, share=0.5
)
def gradients_follow_from_forward(judge: Judge, call: Call) -> None:
    """Central differences of the backend's own forward agree with its gradients (float64)."""
    call = call.change(temperature=max(call.numbers["temperature"], 0.5))
    follow_from_forward(judge, call.change(normalise=False))


@check("sampled_softmax-R14", draws=calls(some=True), stem="sampled_softmax")
def arrays_that_do_not_fit_are_refused(judge: Judge, call: Call) -> None:
    """Another width, another number of ids or logs, and two types are refused."""
    call = call.forward_only()
    judge.ask(call)
    other = np.float32 if call.dtype == np.float64 else np.float64
    doubled = {n: np.concatenate((x, x), axis=x.ndim - 1) for n, x in call.arrays.items()}
    for name in ("target", "negatives", "target_ids", "negative_ids", "negative_log_expected"):
        judge.refuses(call.change(**{name: doubled[name]}))
        if name.startswith("negative") and len(call.arrays["negatives"]) > 1:
            judge.refuses(call.change(**{name: call.arrays[name][:1]}))
    for name in ("user", "target", "negatives", "target_log_expected", "negative_log_expected"):
        judge.refuses(call.change(**{name: call.arrays[name].astype(other)}))


@check("sampled_softmax-R15", draws=calls(some=True), stem="sampled_softmax")
def logs_that_are_not_finite_are_refused(judge: Judge, call: Call) -> None:
    """An infinite or NaN log of an expected count, of a target or a negative, is refused."""
    judge.ask(call.forward_only())
    for name in ("target_log_expected", "negative_log_expected"):
        for bad in (-np.inf, np.inf, np.nan):
            logs = np.array(call.arrays[name])
            logs[0] = bad
            judge.refuses(call.forward_only().change(**{name: logs}))


@check("sampled_softmax-R16", draws=calls(), stem="sampled_softmax")
def a_temperature_that_is_none_is_refused(judge: Judge, call: Call) -> None:
    """Zero, negative, infinite and NaN temperatures are refused."""
    judge.ask(call.forward_only())
    for temperature in (0.0, -1.0, np.inf, np.nan):
        judge.refuses(call.forward_only().change(temperature=temperature))


@check("sampled_softmax-R17", draws=calls(), stem="sampled_softmax")
def an_empty_batch_is_refused(judge: Judge, call: Call) -> None:
    """A batch without a user has no mean."""
    judge.ask(call.forward_only())
    of_users = ("user", "target", "target_ids", "target_log_expected")
    judge.refuses(call.forward_only().change(**{n: call.arrays[n][:0] for n in of_users}))
