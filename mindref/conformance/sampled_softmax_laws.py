"""The laws that sampled softmax keeps, whoever computes it. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.draws.axes import cut, cuts
from mindref.conformance.draws.sampled_softmax_cases import (
    LOGS,
    NEW,
    along_axes,
    divided,
    first_user_without_negatives,
    full,
    hitting,
    two_logits,
    with_logs_inside,
    without_hits,
)
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Got, Judge
from mindref.conformance.judging.reference import Expected
from mindref.conformance.sampled_softmax import calls

SOME = calls(some=True)
NORMALISED = calls(some=True, normalise=(True,))
VECTORS = ("user", "target", "negatives")


@check("sampled_softmax-R2", draws=calls(some=True, normalise=(False,)), stem="sampled_softmax")
def a_correction_is_a_coordinate_that_all_users_share(judge: Judge, call: Call) -> None:
    """Minus the logs as one more coordinate of the items, 1 for the user, is the same loss."""
    call = call.forward_only().change(temperature=1.0)
    judge.same(judge.ask(call), judge.ask(with_logs_inside(call, 1.0)))


@check("sampled_softmax-R2", draws=SOME, stem="sampled_softmax", gradient=True)
def one_number_added_to_all_logs_changes_nothing(judge: Judge, call: Call) -> None:
    """Targets and negatives are corrected alike: a factor common to all counts cancels."""
    logs = {n: np.rint(8 * call.arrays[n]) / 8 for n in LOGS}  # sums of these do not round
    got = judge.ask(call.change(**logs))
    judge.same(got, judge.ask(call.change(**{n: x + x.dtype.type(2) for n, x in logs.items()})))


@check("sampled_softmax-R3", draws=SOME, stem="sampled_softmax", gradient=True)
def a_hit_is_as_if_it_were_not_there(judge: Judge, call: Call) -> None:
    """One user, with the target among the negatives and without: the same loss and gradients."""
    call = cut(hitting(call), "b", [0])
    left = np.flatnonzero(call.arrays["negative_ids"] != call.arrays["target_ids"])
    got = judge.ask(call)
    judge.same(judge.ask(cut(call, "s", left)), got, through=cuts(call.stem, "s", left))
    hits = call.arrays["negative_ids"] == call.arrays["target_ids"]
    judge.exactly(got, "d_negatives", 0, where=hits[:, None])


@check("sampled_softmax-R3", draws=SOME, stem="sampled_softmax", gradient=True)
def a_hit_of_one_user_is_a_negative_of_others(judge: Judge, call: Call) -> None:
    """A user who does not share the target sees the negative, whatever others make of it."""
    call = hitting(call)
    ids = np.where(np.arange(len(call.arrays["target_ids"])) > 0, NEW, call.arrays["target_ids"])
    among = judge.ask(call.change(target_ids=ids))
    last = [len(ids) - 1]
    alone = judge.ask(cut(among.call, "b", last))
    through = {"d_user": lambda x: len(ids) * x[last], "d_target": lambda x: len(ids) * x[last]}
    judge.same(alone, among, "d_user", "d_target", through=through)


@check("sampled_softmax-R4", draws=SOME, stem="sampled_softmax", gradient=True)
def what_stands_there_twice_counts_twice(judge: Judge, call: Call) -> None:
    """Negatives of one id are as many as negatives of ids that all differ: not a byte changes."""
    call = without_hits(call)
    one_id = np.full_like(call.arrays["negative_ids"], NEW)
    judge.equal(judge.ask(call.change(negative_ids=one_id)), judge.ask(call))


@check("sampled_softmax-R5", draws=SOME, stem="sampled_softmax", gradient=True)
def the_loss_is_a_mean_over_users(judge: Judge, call: Call) -> None:
    """The same users twice have the same loss, half the gradient each, and that of negatives."""
    users = len(call.arrays["target_ids"])
    twice = judge.ask(cut(call, "b", np.tile(np.arange(users), 2)))
    halves = {n: lambda x: np.tile(x, (2, 1)) / 2 for n in ("d_user", "d_target")}
    judge.same(twice, judge.ask(call), through=halves)


@check("sampled_softmax-R5", draws=SOME, stem="sampled_softmax")
def every_user_counts_alike_in_the_mean(judge: Judge, call: Call) -> None:
    """The loss is the mean of what each user has alone, of one without a negative, too."""
    judge.ask(call.forward_only())
    call = first_user_without_negatives(call.forward_only())
    users = range(len(call.arrays["target_ids"]))
    alone = [judge.ask(cut(call, "b", [user])) for user in users]
    got, questions = judge.ask(call), [one.call for one in alone]
    own = [judge.expected(one)["out"].allowed for one in questions]
    allowed = judge.expected(call)["out"].allowed + np.mean(own, axis=0)
    wanted = Expected(np.mean([one["out"] for one in alone], axis=0, dtype=np.float64), allowed)
    judge.close("out", got["out"], wanted, lambda: 2 * allowed)


@check("sampled_softmax-R6", draws=calls(some=True, normalise=(False,)), stem="sampled_softmax")
def the_temperature_leaves_the_logs_alone(judge: Judge, call: Call) -> None:
    """Minus the logs times the temperature as one more coordinate is the same loss."""
    for temperature in (0.5, 4.0):
        hot = call.forward_only().change(temperature=temperature)
        judge.same(judge.ask(hot), judge.ask(with_logs_inside(hot, temperature)))


@check(
    "sampled_softmax-R6",
    draws=calls(some=True, normalise=(False,)),
    stem="sampled_softmax",
    gradient=True,
)
def the_temperature_divides_the_products(judge: Judge, call: Call) -> None:
    """Users divided by the temperature, at temperature 1, have the same loss."""
    for temperature in (0.5, 4.0):
        hot = judge.ask(call.change(temperature=temperature))
        cold = call.change(temperature=1.0, user=call.arrays["user"] / temperature)
        judge.same(hot, judge.ask(cold), through={"d_user": partial(divided, by=temperature)})


@check("sampled_softmax-R7", draws=NORMALISED, stem="sampled_softmax")
def normalised_vectors_have_no_length(judge: Judge, call: Call) -> None:
    """Users, targets or negatives of another length give the same loss, exactly."""
    got = judge.ask(call.forward_only())
    for name, factor in zip(VECTORS, (2, 4, 0.5), strict=True):
        longer = got.call.arrays[name] * call.dtype.type(factor)
        judge.equal(got, judge.ask(got.call.change(**{name: longer})))


@check("sampled_softmax-R7", draws=NORMALISED, stem="sampled_softmax")
def vectors_along_an_axis_are_brought_to_length_one(judge: Judge, call: Call) -> None:
    """Of any length, they have the loss of unit vectors that are not normalised."""
    call, length = call.forward_only(), call.dtype.type(3)
    units = {n: along_axes(judge, call.arrays[n]) for n in VECTORS}
    plain = judge.ask(call.change(normalise=False, **units))
    judge.same(judge.ask(call.change(**{n: length * x for n, x in units.items()})), plain)


@check("sampled_softmax-R8", draws=NORMALISED, stem="sampled_softmax", gradient=True)
def no_gradient_goes_along_a_normalised_vector(judge: Judge, call: Call) -> None:
    """Making a vector longer changes nothing, so that gradients are at right angles to vectors."""
    got = judge.ask(call)
    want = judge.expected(call)
    for name in VECTORS:
        x, d_x = call.arrays[name].astype(np.float64), got[f"d_{name}"].astype(np.float64)
        allowed = np.sum(np.abs(x) * want[f"d_{name}"].allowed, axis=1)
        zero, twice = Expected(np.zeros(len(x)), allowed), partial(np.multiply, 2, allowed)
        judge.close(f"d_{name} along {name}", np.sum(x * d_x, axis=1), zero, twice)


@check("sampled_softmax-R8", draws=NORMALISED, stem="sampled_softmax", gradient=True)
def a_zero_vector_stays_zero(judge: Judge, call: Call) -> None:
    """It has no direction: it is zero when normalised, and its gradient is exactly zero."""
    zeros = {}
    for name in VECTORS:
        zeros[name] = np.array(call.arrays[name])
        zeros[name][:1] = 0
    judge.ask(call)
    got = judge.ask(call.change(**zeros))
    judge.holds(np.isfinite(got["out"]), "the loss is not finite", got, "out")
    for name in VECTORS:
        rows = np.arange(len(zeros[name]))[:, None]
        judge.exactly(got, f"d_{name}", 0, where=rows == 0)


@check("sampled_softmax-R9", "sampled_softmax-R1", draws=SOME, stem="sampled_softmax")
def huge_logits_do_not_overflow(judge: Judge, call: Call) -> None:
    """A negative that leads by thousands costs just that, one that trails nothing: exactly."""
    judge.ask(call.forward_only())
    for target, negative in ((-2000, 3000), (3000, -2000), (20000, 18000), (-20000, -19000)):
        got = judge.ask(two_logits(call, target, negative).forward_only())
        judge.exactly(got, "out", max(0, negative - target))


@check("sampled_softmax-R10", draws=SOME, stem="sampled_softmax", gradient=True)
def a_user_without_negatives_has_no_loss(judge: Judge, call: Call) -> None:
    """Where every negative is a hit, or there is none, loss and gradients are exactly zero."""
    judge.ask(call)
    hits = judge.ask(first_user_without_negatives(call))
    for name in ("d_user", "d_target"):
        judge.exactly(hits, name, 0, where=np.arange(len(hits[name]))[:, None] == 0)
    for empty in (cut(hits.call, "b", [0]), cut(call, "s", np.array([], int))):
        got = judge.ask(empty)
        for name in got:
            judge.exactly(got, name, 0)


@check("sampled_softmax-R11", draws=SOME, stem="sampled_softmax", gradient=True)
def repeated_negatives_keep_rows_of_their_own(judge: Judge, call: Call) -> None:
    """A negative that stands there twice has its gradient in both places, not their sum in one."""
    places = np.arange(len(call.arrays["negative_ids"]))
    got = judge.ask(cut(call, "s", np.append(places, 0)))
    swapped = np.append(places, 0)
    swapped[[0, -1]] = len(places), 0
    judge.same(got, got, "d_negatives", through={"d_negatives": lambda x: x[swapped]})


@check(
    *("sampled_softmax-R11", "sampled_softmax-R12"),
    draws=calls(some=True, normalise=(False,)),
    stem="sampled_softmax",
    gradient=True,
)
def targets_receive_what_negatives_give(judge: Judge, call: Call) -> None:
    """With one negative thrice, the rows of all places and of all targets sum to zero."""
    places = np.arange(len(call.arrays["negative_ids"]))
    hold_sums_cancel(judge, judge.ask(cut(call, "s", np.append(places, [0, 0]))))


@check(
    "sampled_softmax-R12",
    draws=calls(some=True, normalise=(False,)),
    stem="sampled_softmax",
    gradient=True,
)
def a_target_nearly_certain_keeps_its_gradient(judge: Judge, call: Call) -> None:
    """What the target receives is what the negatives give, however small: nothing is cancelled."""
    judge.ask(call)
    lead = 40 if call.dtype == np.float64 else 20
    got = judge.ask(two_logits(call, lead, 0))
    hold_sums_cancel(judge, got)
    judge.holds(got["d_target"][0, 0] < 0, "the target receives nothing", got, "d_target")


@check("sampled_softmax-R13", draws=SOME, stem="sampled_softmax")
def every_item_once_is_the_full_softmax(judge: Judge, call: Call) -> None:
    """With all items as negatives and no correction, each item, the target too, counts once."""
    call = full(judge, call)
    got = judge.ask(call)
    items, ids = call.arrays["negatives"].astype(np.float64), call.arrays["target_ids"]
    logits = call.arrays["user"].astype(np.float64) @ items.T
    wanted = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids)), ids]
    allowed = judge.expected(call)["out"].allowed
    judge.close("out", got["out"], Expected(np.mean(wanted), allowed), lambda: 2 * allowed)


@check("sampled_softmax-R18", draws=SOME, stem="sampled_softmax")
def a_loss_of_no_number_shows(judge: Judge, call: Call) -> None:
    """NaN or infinity in a user, a target or a negative, a hit included, makes the loss NaN."""
    call = cut(hitting(call).forward_only(), "b", [0])
    judge.ask(call)
    for name in VECTORS:
        for bad in (np.nan, np.inf):
            broken = np.array(call.arrays[name])
            broken[0] = bad
            got = judge.ask(call.change(**{name: broken}))
            judge.holds(np.isnan(got["out"]), f"{name} of {bad}: the loss is a number", got, "out")


def hold_sums_cancel(judge: Judge, got: Got) -> None:
    """Hold the gradients of all targets, summed, to minus those of all negatives, summed."""
    given, taken = (got[n].astype(np.float64).sum(axis=0) for n in ("d_negatives", "d_target"))
    both = ("d_target", "d_negatives")
    allowed = [judge.expected(got.call)[n].allowed.sum(axis=0) for n in both]
    error = allowed[0] + allowed[1]
    judge.close("d_target, summed,", taken, Expected(-given, error), lambda: 2 * error)
