"""What is asked of routing where behaviours count by log weights. Spec: specs/routing.md.

An option by who claims it, as those of routing_options.py.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.axes import cut
from mindref.conformance.draws.routing_cases import RUBBISH, first
from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.routing import calls
from mindref.conformance.routing_gradient import INPUTS
from mindref.conformance.routing_laws import close_twice, grown
from mindref.conformance.routing_options import apart

INPUTS_AND_WEIGHTS = (*INPUTS, "d_log_weights")


def without(call: Call) -> Call:
    """Return the call without log weights."""
    arrays = {name: x for name, x in call.arrays.items() if name != "log_weights"}
    return call._replace(arrays=arrays)


def in_twos(judge: Judge, call: Call) -> tuple[Call, Call]:
    """Return the call with weights of a half to four, alike for all interests, and one without.

    There the behaviours themselves are as much longer.
    """
    history, logits = call.arrays["history"], call.arrays["init_logits"]
    powers = judge.rng.integers(-1, 3, (*logits.shape[:2], 1))
    log_weights = np.broadcast_to(powers * np.log(2), logits.shape).astype(call.dtype)
    longer = np.ldexp(history, powers).astype(call.dtype)
    return call.change(log_weights=log_weights), without(call).change(history=longer)


@check("routing-R32", draws=calls(weighted=True, rounds=(1,)), stem="routing")
def in_one_round_a_behaviour_counts_as_if_it_were_longer(judge: Judge, call: Call) -> None:
    """Log weights alike for all interests are behaviours as much longer, and touch no coupling."""
    weighted, longer = map(judge.ask, in_twos(judge, call.forward_only()))
    judge.same(weighted, longer)


@check("routing-R32", draws=calls(weighted=True), stem="routing")
def a_single_interest_is_the_weighted_sum(judge: Judge, call: Call) -> None:
    """With one active interest neither rounds nor logits matter, and log weights still do."""
    active = first(1, *call.arrays["active"].shape)
    weighted, longer = in_twos(judge, call.forward_only().change(active=active))
    judge.same(judge.ask(weighted), judge.ask(longer.change(iterations=1)), "out")


@check("routing-R32", draws=calls(weighted=True), stem="routing", agreement=True)
def weighted_rounds_agree(judge: Judge, call: Call) -> None:
    """With log weights, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "routing-R32",
    "routing-R9",
    draws=calls(weighted=True, axis="behaviours"),
    stem="routing",
    agreement=True,
)
def weighted_rounds_of_competing_behaviours_agree(judge: Judge, call: Call) -> None:
    """With log weights and the softmax over behaviours, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "routing-R32",
    "routing-R25",
    draws=calls(weighted=True, general=True),
    stem="routing",
    agreement=True,
)
def weighted_rounds_of_a_matrix_for_each_pair_agree(judge: Judge, call: Call) -> None:
    """With log weights and a matrix for each pair, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("routing-R33", draws=calls(weighted=True), stem="routing", gradient=True)
def log_weights_of_zero_change_nothing(judge: Judge, call: Call) -> None:
    """Every behaviour counts once: capsules and gradients are those of a call without."""
    zero = np.zeros_like(call.arrays["log_weights"])
    judge.same(judge.ask(call.change(log_weights=zero)), judge.ask(without(call)))


@check("routing-R34", draws=calls(weighted=True), stem="routing", gradient=True)
def log_weights_of_nobody_do_not_matter(judge: Judge, call: Call) -> None:
    """Rubbish in padded places and at inactive interests changes no byte and gets no gradient."""
    log_weights = call.arrays["log_weights"]
    nobody = ~(call.arrays["mask"][:, :, None] & call.arrays["active"][:, None, :])
    dirt = judge.rng.choice(RUBBISH, size=log_weights.shape).astype(call.dtype)
    got = judge.ask(call.change(log_weights=np.where(nobody, 0, log_weights)))
    judge.equal(judge.ask(call.change(log_weights=np.where(nobody, dirt, log_weights))), got)
    judge.exactly(got, "d_log_weights", 0, where=nobody)


@check(
    "routing-R35",
    draws=calls(weighted=True, rounds=(1, 2, 3), gradients=("all",)),
    stem="routing",
    gradient=True,
    share=0.3,
)
def weighted_gradients_follow_from_forward(judge: Judge, call: Call) -> None:
    """Central differences of the backend's own forward agree with its gradients (float64)."""
    history = call.arrays["history"]
    largest = np.max(np.abs(history), where=call.arrays["mask"][..., None], initial=1)
    follow_from_forward(judge, call.change(history=(history / largest).astype(call.dtype)))


@check(
    "routing-R35",
    draws=calls(weighted=True, gradients=("all",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def through_all_weighted_rounds_the_gradients_agree(judge: Judge, call: Call) -> None:
    """With log weights and gradient all, every gradient agrees with the reference."""
    judge.agree(call)


@check(
    "routing-R35",
    "routing-R9",
    draws=calls(weighted=True, gradients=("all",), axis="behaviours"),
    stem="routing",
    gradient=True,
    agreement=True,
)
def weighted_gradients_of_competing_behaviours_agree(judge: Judge, call: Call) -> None:
    """With log weights and the softmax over behaviours, every gradient agrees."""
    judge.agree(call)


@check(
    "routing-R35",
    "routing-R25",
    draws=calls(weighted=True, gradients=("all",), general=True),
    stem="routing",
    gradient=True,
    agreement=True,
)
def weighted_gradients_of_a_matrix_for_each_pair_agree(judge: Judge, call: Call) -> None:
    """With log weights and a matrix for each pair, every gradient agrees."""
    judge.agree(call)


@check(
    "routing-R36", draws=calls(weighted=True, gradients=("last",)), stem="routing", gradient=True
)
def with_last_the_log_weights_of_the_last_round_are_learned(judge: Judge, call: Call) -> None:
    """The gradients are those of a single round from the logits that the last round began with."""
    got = judge.ask(call)
    logits = grown(judge, call.forward_only())
    last = judge.ask(call.change(init_logits=logits, iterations=1))
    close_twice(judge, got, last, *INPUTS_AND_WEIGHTS)
    judge.exactly(got, "d_init_logits", 0)


@check("routing-R36", draws=calls(weighted=True, rounds=(1,)), stem="routing", gradient=True)
def in_one_weighted_round_both_gradients_agree(judge: Judge, call: Call) -> None:
    """In a single round the couplings depend on neither history, matrix nor log weights."""
    last, through_all = (judge.ask(call.change(gradient=g)) for g in ("last", "all"))
    judge.same(last, through_all, *INPUTS_AND_WEIGHTS)


@check(
    "routing-R36",
    draws=calls(weighted=True, gradients=("last",)),
    stem="routing",
    gradient=True,
    agreement=True,
)
def of_the_last_weighted_round_the_gradients_agree(judge: Judge, call: Call) -> None:
    """With couplings held constant, every gradient agrees with the reference."""
    judge.agree(call)


@check("routing-R37", draws=calls(weighted=True), stem="routing")
def twice_the_weight_is_twice_the_behaviour(judge: Judge, call: Call) -> None:
    """A behaviour that stands there twice is one whose log weights are larger by log 2."""
    log_weights = call.arrays["log_weights"]
    places = np.arange(log_weights.shape[1])
    place = int(judge.rng.integers(len(places)))
    more = np.where(places == place, np.log(2), 0)[:, None]
    counted = call.forward_only().change(log_weights=(log_weights + more).astype(call.dtype))
    twice = cut(call.forward_only(), "l", np.append(places, place))
    judge.same(judge.ask(counted), judge.ask(twice), "out")


@check("routing-R38", draws=calls(weighted=True), stem="routing")
def log_weights_tell_interests_apart(judge: Judge, call: Call) -> None:
    """From zero logits, with log weights of their own, no two interests of a user are the same."""
    apart(judge, call, "log weights")


@check("routing-R39", draws=calls(weighted=True), stem="routing")
def log_weights_that_do_not_fit_are_refused(judge: Judge, call: Call) -> None:
    """Another size of an axis, one too few of them, and another type are refused."""
    judge.ask(call.forward_only())
    for wrong in unfit(call.arrays["log_weights"]):
        judge.refuses(call.forward_only().change(log_weights=wrong))


def unfit(x: Anything) -> list[Anything]:
    """Return log weights of other shapes and of another type."""
    longer = [
        np.concatenate((x, x[(slice(None),) * axis + (slice(1),)]), axis) for axis in range(3)
    ]
    single = [x[(slice(None),) * axis + (slice(1),)] for axis in range(3) if x.shape[axis] > 1]
    other = np.float32 if x.dtype == np.float64 else np.float64
    return [*longer, *single, x[0], x.astype(other)]
