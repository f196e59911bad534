"""What is asked of the gradients of routing, and of its options. Spec: specs/routing.md.

A gradient is asked for round by round and input by input, so that a report says where it leaves.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.axes import cut
from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.reference import Expected
from mindref.conformance.routing import calls
from mindref.conformance.routing_laws import close_twice, grown

INPUTS = ("d_history", "d_bilinear")


@check("routing-R12", draws=calls(gradients=("last",)), stem="routing", gradient=True)
def with_last_the_logits_get_no_gradient(judge: Judge, call: Call) -> None:
    """With weights held constant, the gradient of the initial logits is exactly zero."""
    judge.exactly(judge.ask(call), "d_init_logits", 0)


@check("routing-R12", draws=calls(gradients=("last",)), stem="routing", gradient=True)
def with_last_only_the_last_round_is_differentiated(judge: Judge, call: Call) -> None:
    """The gradients are those of a single round from the logits that the last round began with."""
    got = judge.ask(call)
    logits = grown(judge, call.forward_only())
    last = judge.ask(call.change(init_logits=logits, iterations=1))
    close_twice(judge, got, last, *INPUTS)


@check("routing-R12", draws=calls(rounds=(1,)), stem="routing", gradient=True)
def in_one_round_both_gradients_agree(judge: Judge, call: Call) -> None:
    """In a single round the weights depend on neither history nor matrix."""
    last, through_all = (judge.ask(call.change(gradient=g)) for g in ("last", "all"))
    judge.same(last, through_all, *INPUTS)


@check("routing-R11", draws=calls(gradients=("all",)), stem="routing", gradient=True)
def gradients_of_the_logits_of_a_behaviour_cancel(judge: Judge, call: Call) -> None:
    """One number added to all logits of a behaviour changes nothing, so they sum to zero."""
    got = judge.ask(call)
    allowed = judge.expected(call)["d_init_logits"].allowed.sum(axis=2)
    sums = got["d_init_logits"].astype(np.float64).sum(axis=2)
    zero = Expected(np.zeros_like(sums), allowed)
    judge.close("d_init_logits, summed,", sums, zero, lambda: 2 * allowed)


@check("routing-R11", draws=calls(), stem="routing", gradient=True)
def the_matrix_adds_up_over_users(judge: Judge, call: Call) -> None:
    """The same users twice give twice the gradient of the matrix."""
    once = judge.ask(call)
    twice = judge.ask(cut(call, "b", np.tile(np.arange(len(call.arrays["mask"])), 2)))
    judge.same(twice, once, "d_bilinear", through={"d_bilinear": lambda x: 2 * x})


@check(
    "routing-R11",
    draws=calls(rounds=(1, 2, 3), gradients=("all",)),
    stem="routing",
    gradient=True,
    share=0.3,
)
def gradients_follow_from_forward(judge: Judge, call: Call) -> None:
    """Central differences of the backend's own forward agree with its gradients (float64)."""
    history = call.arrays["history"]
    largest = np.max(np.abs(history), where=call.arrays["mask"][..., None], initial=1)
    follow_from_forward(judge, call.change(history=(history / largest).astype(call.dtype)))


@check(
    "routing-R11",
    draws=calls(rounds=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_one_round_the_gradient_of_the_history_agrees(judge: Judge, call: Call) -> None:
    """Through one round, d_history agrees with the reference."""
    judge.agree(call, "d_history")


@check(
    "routing-R11",
    draws=calls(rounds=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_one_round_the_gradient_of_the_matrix_agrees(judge: Judge, call: Call) -> None:
    """Through one round, d_bilinear agrees with the reference."""
    judge.agree(call, "d_bilinear")


@check(
    "routing-R11",
    draws=calls(rounds=(1,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_one_round_the_gradient_of_the_logits_agrees(judge: Judge, call: Call) -> None:
    """Through one round, d_init_logits agrees with the reference."""
    judge.agree(call, "d_init_logits")


@check(
    "routing-R11",
    draws=calls(rounds=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_two_rounds_the_gradient_of_the_history_agrees(judge: Judge, call: Call) -> None:
    """Through two rounds, d_history agrees with the reference."""
    judge.agree(call, "d_history")


@check(
    "routing-R11",
    draws=calls(rounds=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_two_rounds_the_gradient_of_the_matrix_agrees(judge: Judge, call: Call) -> None:
    """Through two rounds, d_bilinear agrees with the reference."""
    judge.agree(call, "d_bilinear")


@check(
    "routing-R11",
    draws=calls(rounds=(2,), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_two_rounds_the_gradient_of_the_logits_agrees(judge: Judge, call: Call) -> None:
    """Through two rounds, d_init_logits agrees with the reference."""
    judge.agree(call, "d_init_logits")


@check(
    "routing-R11",
    draws=calls(rounds=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_many_rounds_the_gradient_of_the_history_agrees(judge: Judge, call: Call) -> None:
    """Through three to five rounds, d_history agrees with the reference."""
    judge.agree(call, "d_history")


@check(
    "routing-R11",
    draws=calls(rounds=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_many_rounds_the_gradient_of_the_matrix_agrees(judge: Judge, call: Call) -> None:
    """Through three to five rounds, d_bilinear agrees with the reference."""
    judge.agree(call, "d_bilinear")


@check(
    "routing-R11",
    draws=calls(rounds=(3, 4, 5), gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_many_rounds_the_gradient_of_the_logits_agrees(judge: Judge, call: Call) -> None:
    """Through three to five rounds, d_init_logits agrees with the reference."""
    judge.agree(call, "d_init_logits")


@check(
    "routing-R12", draws=calls(gradients=("last",)), stem="routing", gradient=True, agreement=True
)
def of_the_last_round_the_gradient_of_the_history_agrees(judge: Judge, call: Call) -> None:
    """With weights held constant, d_history agrees with the reference."""
    judge.agree(call, "d_history")


@check(
    "routing-R12", draws=calls(gradients=("last",)), stem="routing", gradient=True, agreement=True
)
def of_the_last_round_the_gradient_of_the_matrix_agrees(judge: Judge, call: Call) -> None:
    """With weights held constant, d_bilinear agrees with the reference."""
    judge.agree(call, "d_bilinear")
