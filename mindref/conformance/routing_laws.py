"""The laws that routing keeps, whoever computes it. Spec: specs/routing.md."""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.draws.axes import cut, cuts
from mindref.conformance.draws.routing_cases import (
    alike,
    balanced,
    first,
    first_alone,
    first_for_all,
    in_whole_numbers,
    padded,
    rubbish,
)
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Got, Judge
from mindref.conformance.judging.reference import Expected
from mindref.conformance.routing import calls


@check("routing-R1", draws=calls(), stem="routing")
def a_vote_is_the_matrix_times_the_behaviour(judge: Judge, call: Call) -> None:
    """Behaviours that are their own votes, under the unit matrix, give the same capsules."""
    call = in_whole_numbers(call.forward_only())
    bilinear = call.arrays["bilinear"]
    votes = np.where(call.arrays["mask"][..., None], call.arrays["history"], 0) @ bilinear.T
    unit = np.eye(len(bilinear), dtype=call.dtype)
    judge.same(judge.ask(call), judge.ask(call.change(history=votes, bilinear=unit)))


@check("routing-R1", draws=calls(), stem="routing")
def opposite_behaviours_give_opposite_capsules(judge: Judge, call: Call) -> None:
    """Without a bias, turning all behaviours round turns the capsules and no weight: exactly."""
    call = call.forward_only()
    opposite = judge.ask(call.change(history=-call.arrays["history"]))
    judge.equal(judge.ask(call), opposite, through={"out": np.negative})


@check("routing-R2", draws=calls(), stem="routing")
def interests_alike_share_each_behaviour_evenly(judge: Judge, call: Call) -> None:
    """Where a behaviour has one logit for all, K' interests are one with history / K'."""
    users, interests = call.arrays["active"].shape
    count = 1 << (interests.bit_length() - 1)  # a power of two: quotients are exact
    many = alike(call, first(count, users, interests))
    one = many.change(
        history=many.arrays["history"] / count, active=first(1, users, interests), iterations=1
    )
    judge.same(judge.ask(one), judge.ask(many), "out", through={"out": first_alone})


@check("routing-R2", draws=calls(), stem="routing")
def a_behaviour_gives_the_same_to_all_in_sum(judge: Judge, call: Call) -> None:
    """One number added to all logits of a behaviour changes nothing; its weights sum to one."""
    logits = np.rint(8 * call.arrays["init_logits"]) / 8  # sums of these do not round
    shift = judge.rng.integers(-3, 4, (*logits.shape[:2], 1)).astype(call.dtype)
    got = judge.ask(call.forward_only().change(init_logits=logits))
    judge.same(got, judge.ask(got.call.change(init_logits=logits + shift)))
    if "couplings" in got:
        shares_sum_to_one(judge, got, axis=2)


@check("routing-R3", draws=calls(rounds=(1,)), stem="routing")
def twice_the_same_behaviours_count_twice(judge: Judge, call: Call) -> None:
    """In one round, a history that stands there twice is one of behaviours twice as long."""
    places = call.arrays["mask"].shape[1]
    call = call.forward_only()
    longer = call.change(history=2 * call.arrays["history"])
    twice = judge.ask(cut(call, "l", np.tile(np.arange(places), 2)))
    judge.same(twice, judge.ask(longer), "out")


@check("routing-R4", "routing-R8", "routing-R5", draws=calls(rounds=(2, 3, 4, 5)), stem="routing")
def a_round_begins_with_what_the_capsules_before_it_added(judge: Judge, call: Call) -> None:
    """The last round is a single one from logits grown by all products with the capsules before."""
    call = call.forward_only()
    whole_way = judge.ask(call)
    last = judge.ask(call.change(init_logits=grown(judge, call), iterations=1))
    close_twice(judge, whole_way, last, "out")


@check("routing-R4", draws=calls(), stem="routing")
def no_capsule_is_longer_than_one(judge: Judge, call: Call) -> None:
    """Behaviours a thousand times as long give capsules that are squashed all the same."""
    judge.ask(call.forward_only())
    longer = call.forward_only().change(history=1024 * call.arrays["history"])
    length = np.sqrt(np.sum(judge.ask(longer)["out"].astype(float) ** 2, axis=2))
    limit = 1 + 8 * float(np.finfo(call.dtype).eps)
    judge.holds((length <= limit).all(), f"a capsule of length {length.max(initial=0):.9g}")


@check("routing-R6", draws=calls(), stem="routing", gradient=True)
def what_stands_in_a_padded_place_does_not_matter(judge: Judge, call: Call) -> None:
    """Rubbish in padded places, NaN and infinity included, changes no byte and gets no gradient."""
    mask, rng = call.arrays["mask"], judge.rng
    dirty = {n: rubbish(rng, call.arrays[n], ~mask) for n in ("history", "init_logits")}
    clean = judge.ask(call.change(**{n: np.where(mask[..., None], x, 0) for n, x in dirty.items()}))
    judge.equal(judge.ask(call.change(**dirty)), clean)
    for name in ("d_history", "d_init_logits"):
        judge.exactly(clean, name, 0, where=~mask[..., None])


@check("routing-R6", draws=calls(), stem="routing", gradient=True)
def more_padding_changes_nothing(judge: Judge, call: Call) -> None:
    """Places appended without a behaviour leave capsules and gradients as they were."""
    places = call.arrays["mask"].shape[1]
    got = judge.ask(call)
    longer = judge.ask(padded(judge.rng, call))
    judge.same(got, longer, through=cuts("routing", "l", np.arange(places)))


@check("routing-R7", draws=calls(), stem="routing", gradient=True)
def active_interests_are_as_if_alone(judge: Judge, call: Call) -> None:
    """A call with only the active interests gives the same; an inactive one is zero."""
    users, k = call.arrays["active"].shape
    on = np.sort(judge.rng.permutation(k)[: int(judge.rng.integers(1, k + 1))])
    active = np.broadcast_to(np.isin(np.arange(k), on), (users, k))
    got = judge.ask(call.change(active=active))
    only = judge.ask(cut(got.call, "k", on))
    judge.same(only, got, through=cuts("routing", "k", on))
    judge.exactly(got, "out", 0, where=~active[..., None])


@check("routing-R7", draws=calls(), stem="routing", gradient=True)
def logits_of_an_inactive_interest_do_not_matter(judge: Judge, call: Call) -> None:
    """Rubbish for initial logits of inactive interests changes no byte and gets no gradient."""
    inactive = ~call.arrays["active"][:, None, :]
    logits = call.arrays["init_logits"]
    dirty = np.where(inactive, rubbish(judge.rng, logits, np.array(True)), logits)
    got = judge.ask(call)
    judge.equal(judge.ask(call.change(init_logits=dirty)), got)
    judge.exactly(got, "d_init_logits", 0, where=inactive)


@check("routing-R13", draws=calls(), stem="routing", gradient=True)
def a_user_without_behaviours_gets_zero(judge: Judge, call: Call) -> None:
    """Nothing to read: zero capsules, zero gradients, and no NaN for the others."""
    mask = np.array(call.arrays["mask"])
    mask[0] = False
    got = judge.ask(call.change(mask=mask))
    nobody = np.arange(len(mask))[:, None, None] == 0
    for name in ("out", "d_history", "d_init_logits"):
        judge.exactly(got, name, 0, where=nobody)


@check("routing-R13", draws=calls(), stem="routing", gradient=True, share=0.3)
def histories_without_a_place_are_empty(judge: Judge, call: Call) -> None:
    """L = 0 gives zero capsules and a zero gradient of the matrix."""
    judge.ask(call)
    got = judge.ask(cut(call, "l", np.array([], int)))
    judge.exactly(got, "out", 0)
    judge.exactly(got, "d_bilinear", 0)


@check("routing-R19", draws=calls(), stem="routing", gradient=True)
def nothing_is_drawn_or_kept_between_calls(judge: Judge, call: Call) -> None:
    """The same call gives the same bytes again, another call in between or not."""
    before = judge.ask(call)
    judge.equal(judge.ask(call), before)
    judge.ask(call.change(init_logits=-call.arrays["init_logits"]))
    judge.equal(judge.ask(call), before)


@check("routing-R20", draws=calls(), stem="routing", gradient=True)
def a_user_does_not_see_the_batch(judge: Judge, call: Call) -> None:
    """A user alone has the capsules and gradients that the user has among others."""
    users = len(call.arrays["mask"])
    among = judge.ask(call)
    one = [int(judge.rng.integers(users))]
    alone = judge.ask(cut(call, "b", one))
    parts = [n for n in among if n != "d_bilinear"]
    judge.same(alone, among, *parts, through=cuts("routing", "b", one))


@check("routing-R21", draws=calls(), stem="routing", gradient=True)
def the_order_of_behaviours_does_not_matter(judge: Judge, call: Call) -> None:
    """Permuting the places of a history, with mask and logits, leaves the capsules."""
    order = judge.rng.permutation(call.arrays["mask"].shape[1])
    got = judge.ask(call)
    judge.same(judge.ask(cut(call, "l", order)), got, through=cuts("routing", "l", order))


@check("routing-R22", draws=calls(), stem="routing", gradient=True)
def names_of_interests_do_not_matter(judge: Judge, call: Call) -> None:
    """Permuting the interests, in logits and active, permutes the capsules."""
    order = judge.rng.permutation(call.arrays["active"].shape[1])
    got = judge.ask(call)
    judge.same(judge.ask(cut(call, "k", order)), got, through=cuts("routing", "k", order))


@check("routing-R23", draws=calls(), stem="routing")
def a_single_interest_takes_everything(judge: Judge, call: Call) -> None:
    """With one active interest neither rounds nor logits matter."""
    active = first(1, *call.arrays["active"].shape)
    call = call.forward_only().change(active=active)
    plain = call.change(iterations=1, init_logits=np.zeros_like(call.arrays["init_logits"]))
    judge.same(judge.ask(call), judge.ask(plain))


@check("routing-R23", "routing-R3", draws=calls(rounds=(1,)), stem="routing")
def behaviours_that_sum_to_a_unit_vector_give_half_of_it(judge: Judge, call: Call) -> None:
    """One interest, zero logits, whole numbers: the capsule is exactly one half in one place."""
    judge.ask(call.forward_only())
    width, turns = call.arrays["history"].shape[2], judge.rng.permutation
    unit = np.eye(width)[turns(width)[0]]
    matrix = np.eye(width)[turns(width)]
    got = judge.ask(balanced(in_whole_numbers(call), unit, matrix))
    judge.exactly(got, "out", matrix @ unit / 2, where=got.call.arrays["active"][..., None])


@check("routing-R24", draws=calls(), stem="routing")
def interests_that_start_alike_stay_alike(judge: Judge, call: Call) -> None:
    """With one logit of a behaviour for all interests, they are one in every round."""
    got = judge.ask(alike(call, np.ones_like(call.arrays["active"])))
    judge.same(got, got, "out", through={"out": first_for_all})


@check("routing-R28", draws=calls(), stem="routing", gradient=True)
def what_comes_back_to_an_inactive_interest_goes_nowhere(judge: Judge, call: Call) -> None:
    """Another finite d_capsules of an inactive interest changes no gradient by a byte."""
    active = np.array(call.arrays["active"])
    active[:, 1:2] = False
    call = call.change(active=active)
    other = np.where(active[..., None], np.asarray(call.cotangent), 1000).astype(call.dtype)
    judge.equal(judge.ask(call.change(cotangent=other)), judge.ask(call))


def shares_sum_to_one(judge: Judge, got: Got, axis: int) -> None:
    """Hold that the weights that stand in an answer sum to one over an axis, zero without any."""
    arrays = got.call.arrays
    allowed = judge.expected(got.call)["couplings"].allowed.sum(axis=axis)
    there = (arrays["mask"][:, :, None] & arrays["active"][:, None, :]).any(axis=axis)
    sums = got["couplings"].astype(np.float64).sum(axis=axis)
    want = Expected(there.astype(float), allowed)
    judge.close(
        "couplings, summed,", sums, want, lambda: judge.worst(got.call, "couplings").sum(axis=axis)
    )


def grown(judge: Judge, call: Call) -> Anything:
    """Return the logits before the last round, by the backend's capsules of all rounds before."""
    arrays = call.arrays
    history = np.where(arrays["mask"][..., None], arrays["history"], 0).astype(np.float64)
    votes = history @ arrays["bilinear"].T
    logits = arrays["init_logits"].astype(np.float64)
    for rounds in range(1, call.numbers["iterations"]):
        capsules = judge.ask(call.change(iterations=rounds))["out"]
        logits = logits + votes @ capsules.transpose(0, 2, 1)
    return logits.astype(call.dtype)


def close_twice(judge: Judge, first: Got, second: Got, *parts: str) -> None:
    """Compare two answers, the second to a question that was made of answers like the first."""
    rough, fine = judge.expected(first.call), judge.expected(second.call)
    for name in parts:
        want = Expected(second[name], 2 * rough[name].allowed + fine[name].allowed)
        worst = partial(judge.worst, first.call, first.call, second.call, name)
        judge.close(name, first[name], want, worst)
