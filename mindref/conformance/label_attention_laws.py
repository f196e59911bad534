"""The laws that label-aware attention keeps, whoever computes it. Spec: specs/label_attention.md.

Many of them make the score a coordinate of its own (`scored`), or read the weights from the result
(`shown`): so scores are exact, and weights are seen although no backend returns them.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.draws.axes import cut, cuts
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Change, Got, Judge
from mindref.conformance.judging.reference import Expected
from mindref.conformance.label_attention import POWERS, STILL, calls

FINITE = tuple(p for p in POWERS if p not in STILL)
HARD = (np.inf,)
EQUAL = (-1.0, 0.0, 0.5, 1.0)


@check("label_attention-R1", draws=calls(powers=(1.0, 2.0)), stem="label_attention")
def coordinates_of_zero_change_no_score(judge: Judge, call: Call) -> None:
    """Scores are not scaled by the width: more coordinates, all of them zero, change nothing."""
    call, width = call.forward_only(), call.arrays["target"].shape[1]
    longer = {n: widened(call.arrays[n], np.zeros(3 * width)) for n in ("interests", "target")}
    wider = judge.ask(call.change(**longer))
    judge.same(judge.ask(call), wider, through={"out": lambda x: x[:, :width]})


@check("label_attention-R2", draws=calls(powers=(2.0, 0.5, 3.0)), stem="label_attention")
def the_power_keeps_the_sign_of_a_score(judge: Judge, call: Call) -> None:
    """Scores s with p weigh what sign(s) |s|^p weighs with p = 1: numbers with exact powers."""
    power, places = call.numbers["power"], call.arrays["active"].shape
    s = judge.rng.choice([-2, -1, -0.5, 0, 0.5, 1, 2], places)
    s, raised = (s * np.abs(s), s) if power == 0.5 else (s, np.sign(s) * np.abs(s) ** power)
    first, second = judge.ask(scored(call, s)), judge.ask(scored(call, raised).change(power=1.0))
    same_part(judge, first, second, lambda x: x[:, 1:])


@check("label_attention-R2", draws=calls(powers=FINITE), stem="label_attention")
def a_larger_score_has_no_smaller_weight(judge: Judge, call: Call) -> None:
    """Whatever the power, weights rise with scores, from the most negative on."""
    scores = np.einsum("bkd,bd->bk", call.arrays["interests"], call.arrays["target"])
    order = np.argsort(np.where(call.arrays["active"], scores, -np.inf), axis=1)
    got = judge.ask(shown(call))
    weights, allowed = (np.take_along_axis(x, order, axis=1) for x in weights_of(judge, got))
    falls = np.diff(weights, axis=1) < -(allowed[:, 1:] + allowed[:, :-1])
    judge.holds(not falls.any(), "a larger score has a smaller weight", got, "out")


@check("label_attention-R3", draws=calls(), stem="label_attention")
def weights_sum_to_one(judge: Judge, call: Call) -> None:
    """Weights, read from the result, are above or at zero and sum to one for each user."""
    got = judge.ask(shown(call))
    weights, allowed = weights_of(judge, got)
    judge.holds((weights >= 0).all(), "a weight is negative", got, "out")
    total = allowed.sum(axis=1)
    ones = Expected(np.ones(len(weights)), total)
    judge.close("weights, summed,", weights.sum(axis=1), ones, lambda: 2 * total)


@check("label_attention-R3", draws=calls(), stem="label_attention", gradient=True)
def active_interests_are_as_if_alone(judge: Judge, call: Call) -> None:
    """A call with only the active interests gives the same."""
    users, k = call.arrays["active"].shape
    on = np.sort(judge.rng.permutation(k)[: (k + 1) // 2])
    interests = np.nan_to_num(call.arrays["interests"])
    active = np.broadcast_to(np.isin(np.arange(k), on), (users, k))
    got = judge.ask(call.change(interests=interests, active=active))
    only = judge.ask(cut(got.call, "k", on))
    judge.same(only, got, through=cuts(call.stem, "k", on))


@check("label_attention-R3", draws=calls(), stem="label_attention", gradient=True)
def a_user_does_not_see_the_batch(judge: Judge, call: Call) -> None:
    """A user alone has the vector and the gradients that the user has among others."""
    one = [int(judge.rng.integers(len(call.arrays["target"])))]
    among = judge.ask(call)
    judge.same(judge.ask(cut(call, "b", one)), among, through=cuts(call.stem, "b", one))


@check("label_attention-R4", draws=calls(), stem="label_attention", gradient=True)
def what_stands_in_an_inactive_place_does_not_matter(judge: Judge, call: Call) -> None:
    """Rubbish in inactive places, NaN and infinity included, changes no byte; no gradient there."""
    inactive = ~call.arrays["active"][..., None]
    interests = np.where(inactive, 0, call.arrays["interests"])
    got = judge.ask(call.change(interests=interests))
    for dirt in (np.nan, np.inf, 1e30):
        dirty = np.where(inactive, call.dtype.type(dirt), interests)
        judge.equal(judge.ask(call.change(interests=dirty)), got)
    judge.exactly(got, "d_interests", 0, where=inactive)


@check("label_attention-R5", draws=calls(powers=(0.0,)), stem="label_attention", gradient=True)
def with_power_zero_no_score_counts(judge: Judge, call: Call) -> None:
    """With p = 0 another target, of other signs or zero, changes no byte."""
    got, target = judge.ask(call), call.arrays["target"]
    for other in (-target, np.zeros_like(target)):
        judge.equal(judge.ask(call.change(target=other)), got)


@check("label_attention-R6", draws=calls(powers=HARD), stem="label_attention", gradient=True)
def with_power_infinity_the_largest_score_takes_all(judge: Judge, call: Call) -> None:
    """Huge, tiny and only negative scores: the result is the interest of the largest, exactly."""
    places = call.arrays["active"].shape
    judge.ask(call)
    for scale in (1e-3, 1.0, 300.0):
        s = judge.rng.permuted(np.tile(np.arange(places[1]) + 0.5, (places[0], 1)), axis=1)
        s -= places[1] * judge.rng.integers(0, 2, (places[0], 1))  # some are negative throughout
        takes_all(judge, scored(call, s * scale))


@check("label_attention-R6", draws=calls(powers=HARD), stem="label_attention", gradient=True)
def of_equal_scores_the_first_takes_all(judge: Judge, call: Call) -> None:
    """With p = infinity, a tie goes to the lowest index among the active, exactly."""
    judge.ask(call)
    takes_all(judge, scored(call, judge.rng.integers(-1, 2, call.arrays["active"].shape)))


@check("label_attention-R7", draws=calls(), stem="label_attention")
def the_result_is_the_interests_by_their_weights(judge: Judge, call: Call) -> None:
    """Each interest times its weight, read from the same result, and summed."""
    got = judge.ask(shown(call))
    weights, allowed = weights_of(judge, got)
    width = call.arrays["target"].shape[1]
    interests = np.where(call.arrays["active"][..., None], call.arrays["interests"], 0)
    own = judge.expected(got.call)["out"].allowed[:, :width]
    rest = np.einsum("bk,bkd->bd", allowed, np.abs(interests).astype(np.float64))
    wanted = Expected(np.einsum("bk,bkd->bd", weights, interests.astype(np.float64)), own + rest)
    judge.close("out", got["out"][:, :width], wanted, lambda: 2 * (own + rest))


@check("label_attention-R7", draws=calls(powers=(*FINITE, 0.0)), stem="label_attention")
def interests_of_one_score_are_averaged(judge: Judge, call: Call) -> None:
    """Where all scores are equal, so are the weights: the result is the mean of the active ones."""
    interests, active = call.arrays["interests"], call.arrays["active"]
    got = judge.ask(scored(call.forward_only(), np.full(active.shape, judge.rng.choice(EQUAL))))
    seen = np.where(active[..., None], interests.astype(np.float64), 0)
    mean = seen.sum(axis=1) / active.sum(axis=1)[:, None]
    wanted = Expected(mean, judge.expected(got.call)["out"].allowed[:, 1:])
    judge.close("out", got["out"][:, 1:], wanted, lambda: judge.worst(got.call, "out")[:, 1:])


@check("label_attention-R8", draws=calls(), stem="label_attention", gradient=True)
def as_values_the_interests_share_what_comes_back(judge: Judge, call: Call) -> None:
    """In coordinates where the target is zero, the gradients of the interests sum to d_out."""
    scores = judge.rng.choice([-1.5, -0.5, 0.5, 1, 1.25], call.arrays["active"].shape)
    got = judge.ask(scored(call, scores))
    allowed = judge.expected(got.call)["d_interests"].allowed.sum(axis=1)[:, 1:]
    summed = got["d_interests"].astype(np.float64).sum(axis=1)[:, 1:]
    wanted = Expected(np.asarray(call.cotangent), allowed)
    judge.close("d_interests, summed,", summed, wanted, lambda: 2 * allowed)


@check("label_attention-R8", draws=calls(powers=(1.0,)), stem="label_attention", gradient=True)
def as_keys_the_interests_receive_nothing_in_sum(judge: Judge, call: Call) -> None:
    """With p = 1, one number added to all scores changes no weight: their gradients cancel."""
    scores = judge.rng.choice([-1.5, -0.5, 0, 0.5, 1], call.arrays["active"].shape)
    got = judge.ask(scored(call, scores))
    allowed = judge.expected(got.call)["d_interests"].allowed[..., 0].sum(axis=1)
    summed = got["d_interests"][..., 0].astype(np.float64).sum(axis=1)
    wanted = Expected(np.zeros(len(summed)), allowed)
    judge.close("gradients of scores, summed,", summed, wanted, lambda: 2 * allowed)


@check("label_attention-R10", draws=calls(powers=STILL), stem="label_attention", gradient=True)
def constant_weights_send_nothing_to_the_target(judge: Judge, call: Call) -> None:
    """With p = 0 and p = infinity, d_target is exactly zero."""
    judge.exactly(judge.ask(call), "d_target", 0)


@check("label_attention-R11", draws=calls(), stem="label_attention")
def powers_that_overflow_have_a_limit(judge: Judge, call: Call) -> None:
    """With p = 1000 and 5000, of scores beyond 1, the largest takes all: exactly, never NaN."""
    judge.ask(call.forward_only())
    for power in (1000.0, 5000.0):
        far = scored(call, far_apart(judge, call)).forward_only()
        takes_all(judge, far.change(power=power))


@check("label_attention-R12", draws=calls(powers=(0.5,)), stem="label_attention", gradient=True)
def no_gradient_passes_a_score_of_zero(judge: Judge, call: Call) -> None:
    """For p below 1 an interest at right angles to the target receives nothing as key."""
    scores = judge.rng.choice([-1, 0, 0.25, 4], call.arrays["active"].shape)
    scores[:, 0] = 0
    got = judge.ask(scored(call, scores))
    as_key = np.zeros(got["d_interests"].shape, bool)
    as_key[..., 0] = scores == 0
    judge.exactly(got, "d_interests", 0, where=as_key)


@check("label_attention-R13", draws=calls(), stem="label_attention", gradient=True)
def no_gradient_passes_a_slope_beyond_the_floats(judge: Judge, call: Call) -> None:
    """With p = 5000 weights are steps, at a tie as well: nothing reaches a score, exactly."""
    judge.ask(call)
    for scores in (far_apart(judge, call), np.full(call.arrays["active"].shape, 3.0)):
        got = judge.ask(scored(call, scores).change(power=5000.0))
        judge.exactly(got, "d_target", 0)
        judge.exactly(got, "d_interests", 0, where=np.arange(got["out"].shape[1]) == 0)


@check("label_attention-R17", draws=calls(), stem="label_attention", gradient=True)
def a_target_that_is_no_number_shows(judge: Judge, call: Call) -> None:
    """A NaN target makes its user's vector NaN, unless p = 0, and nobody else's."""
    target = np.array(call.arrays["target"])
    target[0] = np.nan
    clean, got = judge.ask(call), judge.ask(call.change(target=target))
    if call.numbers["power"] == 0:
        judge.equal(got, clean)
        return
    judge.holds(np.isnan(got["out"][0]).all(), "NaN does not show in out", got, "out")
    shows = np.isnan(got["d_interests"][0][call.arrays["active"][0]]).all()
    judge.holds(shows, "NaN does not show in d_interests", got, "d_interests")
    judge.exactly(got, "out", clean["out"], where=np.arange(len(target))[:, None] > 0)


def widened(x: Anything, more: Anything, front: bool = False) -> Anything:
    """Return x with more coordinates behind its own, or in front of them."""
    more = np.broadcast_to(more, (*x.shape[:-1], np.shape(more)[-1])).astype(x.dtype)
    return np.concatenate((more, x) if front else (x, more), axis=-1)


def scored(call: Call, scores: Anything) -> Call:
    """Return the call with these very scores (B, K) as first coordinate, where the target is 1.

    Elsewhere the target is 0; nothing comes back to the first coordinate of the result.
    """
    interests, target = call.arrays["interests"], call.arrays["target"]
    unit = widened(np.zeros_like(target), np.ones(1), front=True)
    interests = widened(interests, scores[..., None], front=True)
    changed = call.change(interests=interests, target=unit)
    if call.cotangent is None:
        return changed
    return changed._replace(cotangent=widened(call.cotangent, np.zeros(1), front=True))


def shown(call: Call) -> Call:
    """Return the call, forward only, with one more coordinate for each interest, its own."""
    interests, target = call.arrays["interests"], call.arrays["target"]
    own = np.eye(interests.shape[1])
    wider = {"interests": widened(interests, own), "target": widened(target, 0 * own[0])}
    return call.forward_only().change(**wider)


def weights_of(judge: Judge, got: Got) -> tuple[Anything, Anything]:
    """Return the weights (B, K) that the answer to a `shown` call shows, and what is allowed."""
    k = got.call.arrays["active"].shape[1]
    allowed = judge.expected(got.call)["out"].allowed
    return got["out"][:, -k:].astype(np.float64), allowed[:, -k:]


def same_part(judge: Judge, first: Got, second: Got, part: Change) -> None:
    """Compare a part of two results."""
    allowed = part(judge.expected(first.call)["out"].allowed)
    allowed = allowed + part(judge.expected(second.call)["out"].allowed)
    wanted = Expected(part(second["out"]), allowed)
    worst = part(judge.worst(first.call, second.call, "out"))
    judge.close("out", part(first["out"]), wanted, lambda: worst)


def takes_all(judge: Judge, call: Call) -> None:
    """Hold that the active interest of the largest first coordinate is the result, exactly."""
    interests, active = call.arrays["interests"], call.arrays["active"]
    best = np.argmax(np.where(active, interests[..., 0], -np.inf), axis=1)
    got, users = judge.ask(call), np.arange(len(best))
    judge.exactly(got, "out", interests[users, best])
    if call.cotangent is not None:
        alone = np.arange(active.shape[1]) == best[:, None]
        judge.exactly(got, "d_interests", alone[..., None] * call.cotangent[:, None])


def far_apart(judge: Judge, call: Call) -> Anything:
    """Return scores (B, K), no two of a user alike, all of them at least 2 in size."""
    users, k = call.arrays["active"].shape
    size = np.concatenate((np.arange(2, 10), -np.arange(2, 10)))
    return judge.rng.permuted(np.tile(size, (users, 1)), axis=1)[:, :k].astype(float)
