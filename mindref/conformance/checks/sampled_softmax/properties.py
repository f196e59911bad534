"""Checks of algebraic properties of sampled softmax. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.checks.sampled_softmax.agreement import (
    WITH_NEGATIVES,
    sampled_softmax_calls,
)
from mindref.conformance.draws.call_changes import assert_selection_matches, replace_at, select_axis
from mindref.conformance.draws.sampled_softmax_changes import (
    LOGS,
    NEW,
    axis_vectors,
    divide_by,
    first_user_without_negatives,
    full_catalogue,
    logs_as_coordinate,
    two_logits,
    with_distinct_ids,
    with_hit,
)
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CallAnswer, CheckContext

NOT_NORMALISED = sampled_softmax_calls(nonempty=True, normalise=(False,))
NORMALISED = sampled_softmax_calls(nonempty=True, normalise=(True,))
VECTORS = ("user", "target", "negatives")


@add_check("sampled_softmax-R2", draws=NOT_NORMALISED)
def correction_equals_an_extra_coordinate(context: CheckContext, call: Call) -> None:
    """Moving the log-Q correction into an extra coordinate of items must not change the loss."""
    call = call.change(temperature=1.0)
    context.assert_same(context.run(call), context.run(logs_as_coordinate(call, 1.0)))


@add_check("sampled_softmax-R2", draws=WITH_NEGATIVES, gradient=True)
def constant_added_to_all_log_counts_changes_nothing(context: CheckContext, call: Call) -> None:
    """Adding a constant to all log expected counts must change neither loss nor gradients."""
    logs = {n: np.rint(8 * call.arrays[n]) / 8 for n in LOGS}  # multiples of 1/8 have exact sums
    got = context.run(call.change(**logs))
    raised = {n: x + x.dtype.type(2) for n, x in logs.items()}
    context.assert_same(got, context.run(call.change(**raised)))


@add_check("sampled_softmax-R3", draws=WITH_NEGATIVES, gradient=True)
def accidental_hit_is_masked(context: CheckContext, call: Call) -> None:
    """An accidental hit of a user must not affect the loss or the gradients of this user."""
    call = select_axis(with_hit(call), "b", [0])
    left = np.flatnonzero(call.arrays["negative_ids"] != call.arrays["target_ids"])
    got = context.run(call)
    assert_selection_matches(context, got, "s", left)
    hits = call.arrays["negative_ids"] == call.arrays["target_ids"]
    context.assert_exact(got, "d_negatives", 0, mask=hits[:, None])


@add_check("sampled_softmax-R3", draws=WITH_NEGATIVES, gradient=True)
def hit_of_one_user_is_a_negative_of_others(context: CheckContext, call: Call) -> None:
    """An accidental hit of one user must still be a negative of the other users."""
    call = with_hit(call)
    ids = np.where(np.arange(len(call.arrays["target_ids"])) > 0, NEW, call.arrays["target_ids"])
    among = context.run(call.change(target_ids=ids))
    last = [len(ids) - 1]
    single_user = context.run(select_axis(among.call, "b", last))
    through = {"d_user": lambda x: len(ids) * x[last], "d_target": lambda x: len(ids) * x[last]}
    context.assert_same(single_user, among, "d_user", "d_target", through=through)


@add_check("sampled_softmax-R4", draws=WITH_NEGATIVES, gradient=True)
def repeated_negatives_count_each_time(context: CheckContext, call: Call) -> None:
    """Negatives with equal ids must give the same bytes as negatives with different ids."""
    call = with_distinct_ids(call)
    one_id = np.full_like(call.arrays["negative_ids"], NEW)
    context.assert_equal(context.run(call.change(negative_ids=one_id)), context.run(call))


@add_check("sampled_softmax-R5", draws=WITH_NEGATIVES, gradient=True)
def loss_is_the_mean_over_users(context: CheckContext, call: Call) -> None:
    """If every user occurs twice, the loss must not change, and d_user and d_target must halve."""
    users = len(call.arrays["target_ids"])
    twice = context.run(select_axis(call, "b", np.tile(np.arange(users), 2)))
    halves = {n: lambda x: np.tile(x, (2, 1)) / 2 for n in ("d_user", "d_target")}
    context.assert_same(twice, context.run(call), through=halves)


@add_check("sampled_softmax-R5", draws=WITH_NEGATIVES)
def every_user_has_equal_weight_in_the_mean(context: CheckContext, call: Call) -> None:
    """The loss of a batch must be the mean of the losses of its users."""
    context.run(call)
    call = first_user_without_negatives(call)
    users = range(len(call.arrays["target_ids"]))
    single_users = [context.run(select_axis(call, "b", [user])) for user in users]
    got, questions = context.run(call), [one.call for one in single_users]
    user_bounds = [context.expected(one)["out"].allowed for one in questions]
    allowed = context.expected(call)["out"].allowed + np.mean(user_bounds, axis=0)
    mean = np.mean([one["out"] for one in single_users], axis=0, dtype=np.float64)
    context.assert_within("out", got["out"], mean, allowed)


@add_check("sampled_softmax-R6", draws=NOT_NORMALISED)
def temperature_does_not_scale_the_correction(context: CheckContext, call: Call) -> None:
    """The temperature must divide the dot products, but not the log-Q correction."""
    for temperature in (0.5, 4.0):
        hot = call.change(temperature=temperature)
        context.assert_same(context.run(hot), context.run(logs_as_coordinate(hot, temperature)))


@add_check("sampled_softmax-R6", draws=NOT_NORMALISED, gradient=True)
def temperature_divides_the_dot_products(context: CheckContext, call: Call) -> None:
    """User vectors divided by T must give the same loss as temperature T."""
    for temperature in (0.5, 4.0):
        hot = context.run(call.change(temperature=temperature))
        cold = call.change(temperature=1.0, user=call.arrays["user"] / temperature)
        through = {"d_user": partial(divide_by, by=temperature)}
        context.assert_same(hot, context.run(cold), through=through)


@add_check("sampled_softmax-R7", draws=NORMALISED)
def normalise_removes_the_scale(context: CheckContext, call: Call) -> None:
    """With normalise=True, multiplying vectors by 2^n must not change any byte of the loss."""
    got = context.run(call)
    for name, factor in zip(VECTORS, (2, 4, 0.5), strict=True):
        longer = got.call.arrays[name] * call.dtype.type(factor)
        context.assert_equal(got, context.run(got.call.change(**{name: longer})))


@add_check("sampled_softmax-R7", draws=NORMALISED)
def normalise_gives_unit_vectors(context: CheckContext, call: Call) -> None:
    """With normalise=True, unit vectors times positive numbers must give the same loss."""
    length = call.dtype.type(3)
    units = {n: axis_vectors(context, call.arrays[n]) for n in VECTORS}
    plain = context.run(call.change(normalise=False, **units))
    scaled = {n: length * x for n, x in units.items()}
    context.assert_same(context.run(call.change(**scaled)), plain)


@add_check("sampled_softmax-R8", draws=NORMALISED, gradient=True)
def normalised_gradient_is_orthogonal_to_the_vector(context: CheckContext, call: Call) -> None:
    """With normalise=True, the gradient of a vector must be orthogonal to the vector."""
    got = context.run(call)
    want = context.expected(call)
    for name in VECTORS:
        x, d_x = call.arrays[name].astype(np.float64), got[f"d_{name}"].astype(np.float64)
        allowed = np.sum(np.abs(x) * want[f"d_{name}"].allowed, axis=1)
        along = np.sum(x * d_x, axis=1)
        context.assert_within(f"d_{name} along {name}", along, np.zeros(len(x)), allowed)


@add_check("sampled_softmax-R8", draws=NORMALISED, gradient=True)
def normalised_zero_vector_stays_zero(context: CheckContext, call: Call) -> None:
    """With normalise=True, a zero vector must give a finite loss and must get gradient 0."""
    zeros = {name: replace_at(call.arrays[name], slice(1), 0) for name in VECTORS}
    context.run(call)
    got = context.run(call.change(**zeros))
    context.assert_true(np.isfinite(got["out"]), "the loss is not finite", got, "out")
    for name in VECTORS:
        rows = np.arange(len(zeros[name]))[:, None]
        context.assert_exact(got, f"d_{name}", 0, mask=rows == 0)


@add_check("sampled_softmax-R9, R1", draws=WITH_NEGATIVES)
def huge_logits_do_not_overflow(context: CheckContext, call: Call) -> None:
    """For two large logits, the loss must be exactly max(0, negative logit - target logit)."""
    context.run(call)
    for target, negative in ((-2000, 3000), (3000, -2000), (20000, 18000), (-20000, -19000)):
        got = context.run(two_logits(call, target, negative))
        context.assert_exact(got, "out", max(0, negative - target))


@add_check("sampled_softmax-R10", draws=WITH_NEGATIVES, gradient=True)
def user_without_negatives_has_zero_loss(context: CheckContext, call: Call) -> None:
    """If all negatives are accidental hits of a user, this user's loss and gradients must be 0."""
    context.run(call)
    hits = context.run(first_user_without_negatives(call))
    for name in ("d_user", "d_target"):
        context.assert_exact(hits, name, 0, mask=np.arange(len(hits[name]))[:, None] == 0)
    for empty in (select_axis(hits.call, "b", [0]), select_axis(call, "s", np.array([], int))):
        got = context.run(empty)
        for name in got:
            context.assert_exact(got, name, 0)


@add_check("sampled_softmax-R11", draws=WITH_NEGATIVES, gradient=True)
def repeated_negatives_keep_separate_gradients(context: CheckContext, call: Call) -> None:
    """Each occurrence of a repeated negative must get a separate gradient, not the sum."""
    places = np.arange(len(call.arrays["negative_ids"]))
    got = context.run(select_axis(call, "s", np.append(places, 0)))
    swapped = np.append(places, 0)
    swapped[[0, -1]] = len(places), 0
    context.assert_same(got, got, "d_negatives", through={"d_negatives": lambda x: x[swapped]})


@add_check("sampled_softmax-R11, R12", draws=NOT_NORMALISED, gradient=True)
def target_and_negative_gradients_cancel(context: CheckContext, call: Call) -> None:
    """The gradients of all targets and all negatives together must sum to 0."""
    places = np.arange(len(call.arrays["negative_ids"]))
    assert_sums_cancel(context, context.run(select_axis(call, "s", np.append(places, [0, 0]))))


@add_check("sampled_softmax-R12", draws=NOT_NORMALISED, gradient=True)
def nearly_certain_target_keeps_its_gradient(context: CheckContext, call: Call) -> None:
    """If the target has probability near 1, rounding must not make its small gradient 0."""
    context.run(call)
    lead = 40 if call.dtype == np.float64 else 20
    got = context.run(two_logits(call, lead, 0))
    assert_sums_cancel(context, got)
    is_negative = got["d_target"][0, 0] < 0
    context.assert_true(is_negative, "the gradient of the target is 0", got, "d_target")


@add_check("sampled_softmax-R13", draws=WITH_NEGATIVES)
def all_items_as_negatives_equal_the_full_softmax(context: CheckContext, call: Call) -> None:
    """With all items as negatives and no correction, the loss must be the full softmax loss."""
    call = full_catalogue(context, call)
    got = context.run(call)
    items, ids = call.arrays["negatives"].astype(np.float64), call.arrays["target_ids"]
    logits = call.arrays["user"].astype(np.float64) @ items.T
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids)), ids]
    allowed = context.expected(call)["out"].allowed
    context.assert_within("out", got["out"], np.mean(expected), allowed)


@add_check("sampled_softmax-R18", draws=WITH_NEGATIVES)
def non_finite_input_makes_the_loss_nan(context: CheckContext, call: Call) -> None:
    """NaN or infinity in a vector, even of an accidental hit, must make the loss NaN."""
    call = select_axis(with_hit(call), "b", [0])
    context.run(call)
    for name in VECTORS:
        for bad in (np.nan, np.inf):
            broken = replace_at(call.arrays[name], 0, bad)
            got = context.run(call.change(**{name: broken}))
            message = f"{name} is {bad}, but the loss is not NaN"
            context.assert_true(np.isnan(got["out"]), message, got, "out")


def assert_sums_cancel(context: CheckContext, got: CallAnswer) -> None:
    """Require that the gradients of all targets and all negatives together sum to zero."""
    both, expected = ("d_target", "d_negatives"), context.expected(got.call)
    target_sum, negative_sum = (got[n].astype(np.float64).sum(axis=0) for n in both)
    allowed = sum(expected[n].allowed.sum(axis=0) for n in both)
    context.assert_within("d_target, summed,", target_sum, -negative_sum, np.asarray(allowed))
