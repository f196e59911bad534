"""What is asked of routing: agreement, round by round and option by option. Spec: specs/routing.md.

The laws of the page are in routing_laws.py, its gradients in routing_gradient.py, its options in
routing_options.py and routing_weights.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.routing_cases import rubbish
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import (
    actives,
    frozen,
    generators,
    masks,
    normal,
    sizes,
)
from mindref.shapes import Array, Bools

NOT_OBSERVED = {
    "routing-R10": "K' reaches the operator as `active`; counts are seen at the level of the model",
    "routing-R14": "the operator draws nothing; who draws is no part of the contract",
    "routing-R15": "logits reach the operator as numbers; those of serving are the model's",
    "routing-R16": "a choice of the model, not of the operator",
    "routing-R17": "a choice of the model, not of the operator",
    "routing-R18": "a choice of the model, not of the operator",
}
"""Rules that no check of the operator can cite, with the reason."""

ROUNDS = (2, 3, 1, 4, 5)
GRADIENTS = ("last", "all")


@st.composite
def calls(
    draw: st.DrawFn,
    /,
    *,
    rounds: tuple[int, ...] = ROUNDS,
    gradients: tuple[str, ...] = GRADIENTS,
    general: bool = False,
    weighted: bool = False,
    **options: Any,
) -> Call:
    """Draw histories with padding of any kind, some behaviours twice, K' < K, a cotangent.

    `general`: one matrix for each (place, interest); `weighted`: with log weights; `options`: axis,
    kind.
    """
    b, l, k, d = draw(sizes(4))  # noqa: E741  # the axis letters of specs/notation.md
    rng, mask = draw(generators()), draw(masks(b, l))
    arrays = {
        "history": history(draw, rng, mask, d),
        "mask": mask,
        "bilinear": normal(rng, *((l, k, d, d) if general else (d, d)), scale=d**-0.5),
        "init_logits": normal(rng, b, l, k),
        "active": draw(actives(b, k)),
    }
    if weighted:
        arrays["log_weights"] = normal(rng, b, l, k)
    numbers: dict[str, Any] = {"iterations": draw(st.sampled_from(rounds))}
    numbers |= {"gradient": draw(st.sampled_from(gradients)), **options}
    return Call("routing", arrays, numbers, normal(rng, b, k, d))


def history(draw: st.DrawFn, rng: np.random.Generator, mask: Bools, width: int) -> Array:
    """Draw behaviours (B, L, D), now and then one of them twice, or rubbish where padding is."""
    found = np.array(normal(rng, *mask.shape, width, scale=draw(st.sampled_from((1.0, 2.0, 0.3)))))
    if draw(st.booleans()):
        found[:, -1] = found[:, 0]
    if draw(st.booleans()):
        found = rubbish(rng, found, ~mask)
    return frozen(found)


@check("routing-R5", "routing-R3", draws=calls(rounds=(1,)), stem="routing", agreement=True)
def one_round_agrees(judge: Judge, call: Call) -> None:
    """One round, whose weights are those of the initial logits, agrees with the reference."""
    judge.agree(call.forward_only())


@check("routing-R5", "routing-R8", draws=calls(rounds=(2,)), stem="routing", agreement=True)
def two_rounds_agree(judge: Judge, call: Call) -> None:
    """Two rounds, with one update of the logits between them, agree with the reference."""
    judge.agree(call.forward_only())


@check("routing-R5", "routing-R8", draws=calls(rounds=(3,)), stem="routing", agreement=True)
def three_rounds_agree(judge: Judge, call: Call) -> None:
    """Three rounds agree with the reference."""
    judge.agree(call.forward_only())


@check("routing-R5", "routing-R8", draws=calls(rounds=(4, 5)), stem="routing", agreement=True)
def more_rounds_agree(judge: Judge, call: Call) -> None:
    """Four and five rounds agree with the reference."""
    judge.agree(call.forward_only())


@check("routing-R29", draws=calls(), stem="routing")
def rounds_that_are_no_number_from_one_are_refused(judge: Judge, call: Call) -> None:
    """Zero, minus one and two and a half rounds are refused."""
    judge.ask(call.forward_only())
    for iterations in (0, -1, 2.5):
        judge.refuses(call.forward_only().change(iterations=iterations))


@check("routing-R30", draws=calls(), stem="routing")
def an_unknown_gradient_is_refused(judge: Judge, call: Call) -> None:
    """A gradient other than all and last is refused by forward."""
    judge.ask(call.forward_only())
    judge.refuses(call.forward_only().change(gradient="none"))


@check("routing-R31", draws=calls(axis="interests"), stem="routing")
def an_unknown_axis_is_refused(judge: Judge, call: Call) -> None:
    """An axis other than interests and behaviours is refused."""
    judge.ask(call.forward_only())
    judge.refuses(call.forward_only().change(axis="users"))
