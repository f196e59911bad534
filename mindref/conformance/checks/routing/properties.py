"""Checks of algebraic properties of routing. Spec: specs/routing.md."""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.draws.call_changes import (
    answer_selectors,
    assert_selection_matches,
    replace_at,
    select_axis,
)
from mindref.conformance.draws.routing_changes import (
    first_interests,
    keep_first_capsule,
    repeat_first_capsule,
    unit_sum_call,
    with_equal_logits,
    with_exact_votes,
    with_garbage,
    with_padding,
)
from mindref.conformance.runner.call import AnyArray, Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.reference import ExpectedArray


@add_check("routing-R1", draws=routing_calls())
def vote_is_the_matrix_times_the_behaviour(context: CheckContext, call: Call) -> None:
    """Replacing each behaviour e by its vote S e, and S by the identity, must keep the capsules."""
    call = with_exact_votes(call)
    bilinear = call.arrays["bilinear"]
    votes = np.where(call.arrays["mask"][..., None], call.arrays["history"], 0) @ bilinear.T
    unit = np.eye(len(bilinear), dtype=call.dtype)
    context.assert_same(context.run(call), context.run(call.change(history=votes, bilinear=unit)))


@add_check("routing-R1", draws=routing_calls())
def negated_history_negates_the_capsules(context: CheckContext, call: Call) -> None:
    """Negated behaviours must give exactly negated capsules."""
    opposite = context.run(call.change(history=-call.arrays["history"]))
    context.assert_equal(context.run(call), opposite, through={"out": np.negative})


@add_check("routing-R2", draws=routing_calls())
def equal_logits_divide_a_behaviour_evenly(context: CheckContext, call: Call) -> None:
    """With axis="interests", equal logits of a behaviour must give K' coupling weights 1 / K'."""
    users, interests = call.arrays["active"].shape
    count = 1 << (interests.bit_length() - 1)  # a power of two, so that quotients are exact
    many = with_equal_logits(call, first_interests(count, users, interests))
    first, shares = first_interests(1, users, interests), many.arrays["history"] / count
    one = context.run(many.change(history=shares, active=first, iterations=1))
    context.assert_same(one, context.run(many), "out", through={"out": keep_first_capsule})


@add_check("routing-R2", draws=routing_calls())
def coupling_weights_of_a_behaviour_sum_to_one(context: CheckContext, call: Call) -> None:
    """With axis="interests", weights must sum to 1; a constant added to logits changes rounding."""
    assert_couplings_sum_to_one(context, call, axis=2)


@add_check("routing-R3", draws=routing_calls(iterations=(1,)))
def repeated_history_equals_doubled_history(context: CheckContext, call: Call) -> None:
    """With one iteration, a second copy of all behaviours must have the effect of doubling them."""
    places = call.arrays["mask"].shape[1]
    longer = call.change(history=2 * call.arrays["history"])
    twice = context.run(select_axis(call, "l", np.tile(np.arange(places), 2)))
    context.assert_same(twice, context.run(longer), "out")


@add_check("routing-R4, R8, R5", draws=routing_calls(iterations=(2, 3, 4, 5)))
def iteration_starts_from_the_updated_logits(context: CheckContext, call: Call) -> None:
    """Running only the last iteration, from the logits before it, must give the same capsules."""
    assert_equals_last_iteration(context, call, "out")


@add_check("routing-R4", draws=routing_calls())
def capsule_norm_is_at_most_one(context: CheckContext, call: Call) -> None:
    """For behaviours multiplied by 1024, the norm of a capsule must still be at most 1."""
    context.run(call)
    longer = call.change(history=1024 * call.arrays["history"])
    length = np.sqrt(np.sum(context.run(longer)["out"].astype(float) ** 2, axis=2))
    limit = 1 + 8 * float(np.finfo(call.dtype).eps)
    message = f"a capsule has norm {length.max(initial=0):.9g}, expected at most 1"
    context.assert_true((length <= limit).all(), message)


@add_check("routing-R6", draws=routing_calls(), gradient=True)
def padding_has_no_influence(context: CheckContext, call: Call) -> None:
    """A number in a padded position, even NaN, must change no byte and must get gradient 0."""
    mask, rng = call.arrays["mask"], context.rng
    dirty = {n: with_garbage(rng, call.arrays[n], ~mask) for n in ("history", "init_logits")}
    zeros = {n: np.where(mask[..., None], x, 0) for n, x in dirty.items()}
    clean = context.run(call.change(**zeros))
    context.assert_equal(context.run(call.change(**dirty)), clean)
    for name in ("d_history", "d_init_logits"):
        context.assert_exact(clean, name, 0, mask=~mask[..., None])


@add_check("routing-R6", draws=routing_calls(), gradient=True)
def more_padding_changes_nothing(context: CheckContext, call: Call) -> None:
    """Appending padding must change neither the capsules nor the gradients."""
    places = call.arrays["mask"].shape[1]
    got = context.run(call)
    longer = context.run(with_padding(context.rng, call))
    context.assert_same(got, longer, through=answer_selectors("routing", "l", np.arange(places)))


@add_check("routing-R7", draws=routing_calls(), gradient=True)
def inactive_interests_take_no_part(context: CheckContext, call: Call) -> None:
    """Removing inactive interests must not change the active capsules; inactive ones must be 0."""
    users, k = call.arrays["active"].shape
    on = np.sort(context.rng.permutation(k)[: int(context.rng.integers(1, k + 1))])
    active = np.broadcast_to(np.isin(np.arange(k), on), (users, k))
    got = context.run(call.change(active=active))
    assert_selection_matches(context, got, "k", on)
    context.assert_exact(got, "out", 0, mask=~active[..., None])


@add_check("routing-R7", draws=routing_calls(), gradient=True)
def logits_of_inactive_interests_have_no_influence(context: CheckContext, call: Call) -> None:
    """Initial logits of inactive interests must not change any byte and must get gradient 0."""
    inactive = ~call.arrays["active"][:, None, :]
    logits = call.arrays["init_logits"]
    dirty = np.where(inactive, with_garbage(context.rng, logits, np.array(True)), logits)
    got = context.run(call)
    context.assert_equal(context.run(call.change(init_logits=dirty)), got)
    context.assert_exact(got, "d_init_logits", 0, mask=inactive)


@add_check("routing-R13", draws=routing_calls(), gradient=True)
def empty_history_gives_zero_capsules(context: CheckContext, call: Call) -> None:
    """A user with an empty history must get zero capsules and zero gradients."""
    mask = replace_at(call.arrays["mask"], 0, False)
    got = context.run(call.change(mask=mask))
    excluded = np.arange(len(mask))[:, None, None] == 0
    for name in ("out", "d_history", "d_init_logits"):
        context.assert_exact(got, name, 0, mask=excluded)


@add_check("routing-R13", draws=routing_calls(), gradient=True, fraction=0.3)
def history_of_length_zero_is_allowed(context: CheckContext, call: Call) -> None:
    """Histories of length L = 0 must give zero capsules and a zero gradient of the matrix S."""
    context.run(call)
    got = context.run(select_axis(call, "l", np.array([], int)))
    context.assert_exact(got, "out", 0)
    context.assert_exact(got, "d_bilinear", 0)


@add_check("routing-R19", draws=routing_calls(), gradient=True)
def repeated_call_gives_the_same_bytes(context: CheckContext, call: Call) -> None:
    """A repeated call must give the same bytes, even if another call runs in between."""
    before = context.run(call)
    context.assert_equal(context.run(call), before)
    context.run(call.change(init_logits=-call.arrays["init_logits"]))
    context.assert_equal(context.run(call), before)


@add_check("routing-R20", draws=routing_calls(), gradient=True)
def capsules_do_not_depend_on_the_batch(context: CheckContext, call: Call) -> None:
    """The capsules and gradients of a user must not depend on the other users of the batch."""
    users = len(call.arrays["mask"])
    among = context.run(call)
    parts = [n for n in among if n != "d_bilinear"]
    assert_selection_matches(context, among, "b", [int(context.rng.integers(users))], *parts)


@add_check("routing-R21", draws=routing_calls(), gradient=True)
def permuting_behaviours_leaves_the_capsules(context: CheckContext, call: Call) -> None:
    """Permuting behaviours, mask and logits together must not change the capsules."""
    order = context.rng.permutation(call.arrays["mask"].shape[1])
    assert_selection_matches(context, context.run(call), "l", order)


@add_check("routing-R22", draws=routing_calls(), gradient=True)
def permuting_interests_permutes_the_capsules(context: CheckContext, call: Call) -> None:
    """Permuting the interests in logits and `active` must permute the capsules in the same way."""
    order = context.rng.permutation(call.arrays["active"].shape[1])
    assert_selection_matches(context, context.run(call), "k", order)


@add_check("routing-R23", draws=routing_calls())
def single_interest_ignores_iterations_and_logits(context: CheckContext, call: Call) -> None:
    """With axis="interests" and one interest, iterations and logits may change rounding only."""
    active = first_interests(1, *call.arrays["active"].shape)
    call = call.change(active=active)
    plain = call.change(iterations=1, init_logits=np.zeros_like(call.arrays["init_logits"]))
    context.assert_same(context.run(call), context.run(plain))


@add_check("routing-R23, R3", draws=routing_calls(iterations=(1,)))
def votes_that_sum_to_a_unit_vector_give_half_of_it(context: CheckContext, call: Call) -> None:
    """With axis="interests", one interest and a sum z of length 1, the capsule must be z / 2."""
    context.run(call)
    width, turns = call.arrays["history"].shape[2], context.rng.permutation
    unit = np.eye(width)[turns(width)[0]]
    matrix = np.eye(width)[turns(width)]
    got = context.run(unit_sum_call(with_exact_votes(call), unit, matrix))
    context.assert_exact(got, "out", matrix @ unit / 2, mask=got.call.arrays["active"][..., None])


@add_check("routing-R24", draws=routing_calls())
def equal_initial_logits_keep_interests_equal(context: CheckContext, call: Call) -> None:
    """If all interests have equal initial logits, all capsules of a user must be equal."""
    got = context.run(with_equal_logits(call, np.ones_like(call.arrays["active"])))
    context.assert_same(got, got, "out", through={"out": repeat_first_capsule})


@add_check("routing-R28", draws=routing_calls(), gradient=True)
def cotangent_of_inactive_interests_has_no_influence(context: CheckContext, call: Call) -> None:
    """Finite changes of d_out for inactive interests must not change any byte of a gradient."""
    active = replace_at(call.arrays["active"], np.s_[:, 1:2], False)
    call = call.change(active=active)
    other = np.where(active[..., None], np.asarray(call.cotangent), 1000).astype(call.dtype)
    context.assert_equal(context.run(call.change(cotangent=other)), context.run(call))


def assert_couplings_sum_to_one(context: CheckContext, call: Call, axis: int) -> None:
    """Require that coupling weights sum to 1 over `axis`, or to 0 if all entries are masked.

    Also require that adding a constant to the logits along `axis` does not change the answer.
    """
    logits = np.rint(8 * call.arrays["init_logits"]) / 8  # multiples of 1/8 have exact sums
    shape = [1 if n == axis else size for n, size in enumerate(logits.shape)]
    shift = context.rng.integers(-3, 4, shape).astype(call.dtype)
    got = context.run(call.change(init_logits=logits))
    context.assert_same(got, context.run(call.change(init_logits=logits + shift)))
    if "couplings" not in got:
        return
    arrays = call.arrays
    allowed = context.expected(got.call)["couplings"].allowed.sum(axis=axis)
    expected = (arrays["mask"][:, :, None] & arrays["active"][:, None, :]).any(axis=axis)
    sums = got["couplings"].astype(np.float64).sum(axis=axis)
    want = ExpectedArray(expected.astype(float), allowed)

    def worst() -> AnyArray:
        return np.asarray(context.worst_case(got.call, "couplings").sum(axis=axis))

    context.assert_close("couplings, summed,", sums, want, worst)


def logits_before_last_iteration(context: CheckContext, call: Call) -> AnyArray:
    """Return the logits before the last iteration, computed from the capsules of the backend."""
    arrays = call.arrays
    history = np.where(arrays["mask"][..., None], arrays["history"], 0).astype(np.float64)
    votes = history @ arrays["bilinear"].T
    logits = arrays["init_logits"].astype(np.float64)
    for iterations in range(1, call.numbers["iterations"]):
        capsules = context.run(call.change(iterations=iterations))["out"]
        logits = logits + votes @ capsules.transpose(0, 2, 1)
    return logits.astype(call.dtype)


def assert_equals_last_iteration(context: CheckContext, call: Call, *parts: str) -> CallAnswer:
    """Run only the last iteration, and require the same result as from all iterations.

    `parts` are names of the arrays to compare. Returns the answer to `call`.
    """
    first = context.run(call)
    logits = logits_before_last_iteration(context, call.forward_only())
    second = context.run(call.change(init_logits=logits, iterations=1))
    rough, fine = context.expected(first.call), context.expected(second.call)
    # the error bound of `first` is added twice: for errors of `first` and of `logits`
    for name in parts:
        want = ExpectedArray(second[name], 2 * rough[name].allowed + fine[name].allowed)
        worst = partial(context.worst_case, first.call, first.call, second.call, name)
        context.assert_close(name, first[name], want, worst)
    return first
