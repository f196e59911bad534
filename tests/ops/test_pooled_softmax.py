"""pooled_softmax: values, laws, hits, repeats, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, rounding, same_math
from mindref.ops import pooled_softmax, sampled_softmax
from tests import kinked_gradients, naive, spec_pages
from tests.ops.pooled_cases import OPTIONS, SHARPNESS, Case, cases, fixed_case

EXAMPLE = spec_pages.examples("pooled_softmax")[0]
EVERY = pytest.mark.parametrize("sharpness", SHARPNESS)
WITH = pytest.mark.parametrize("options", OPTIONS, ids=["plain", "unit", "warm"])
TIGHT = {"rtol": same_math(np.float64), "atol": VANISHING}


def run(case: Case, **numbers: Any) -> list[Any]:
    """Return the loss and its gradients."""
    out, saved = pooled_softmax.forward(*case, **numbers)
    return [out, *pooled_softmax.backward(1.0, saved)]


def agree(found: list[Any], expected: list[Any]) -> None:
    names = ("out", "d_interests", "d_target", "d_negatives")
    for name, x, y in zip(names, found, expected, strict=True):
        np.testing.assert_allclose(x, y, **TIGHT, err_msg=name)


def naive_losses(case: Case, **numbers: Any) -> list[float]:
    return [
        naive.pooled_loss(
            case.interests[b][case.active[b]].tolist(),
            case.target[b].tolist(),
            case.negatives.tolist(),
            case.target_ids[b],
            case.negative_ids.tolist(),
            case.target_log_expected[b],
            case.negative_log_expected.tolist(),
            **numbers,
        )
        for b in range(len(case.active))
    ]


@pytest.mark.rules(
    "pooled_softmax-R1", "pooled_softmax-R2", "pooled_softmax-R3", "pooled_softmax-R6",
    "pooled_softmax-R7", "pooled_softmax-R8", "pooled_softmax-R9", "pooled_softmax-R10",
    "pooled_softmax-R11", "pooled_softmax-R14", "pooled_softmax-R16",
)  # fmt: skip
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=lambda c: f"beta={c['sharpness']}")
def test_the_worked_example_matches_the_page(expected: dict[str, Any]) -> None:
    numbers = {k: expected[k] for k in ("temperature", "normalise")}
    sharpness = float(expected["sharpness"])
    case = Case(*(np.array(EXAMPLE[k]) for k in Case._fields))
    found = run(case, sharpness=sharpness, **numbers)
    for name, value in zip(("out", "d_interests", "d_target", "d_negatives"), found, strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=WORKED_EXAMPLE, err_msg=name)
    near = {"rtol": 0, "atol": WORKED_EXAMPLE}
    np.testing.assert_allclose(found[0], np.mean(expected["losses"]), **near, err_msg="mean")
    interests, items = case.interests, [np.vstack([t, case.negatives]) for t in case.target]
    if numbers["normalise"]:
        interests = interests / np.linalg.norm(interests, axis=-1, keepdims=True)
        items = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in items]
    products = np.einsum("bkd,bsd->bks", interests, np.array(items)) / numbers["temperature"]
    scores, _ = pooled_softmax.pool_scores(products, case.active, sharpness)
    np.testing.assert_allclose(scores, expected["scores"], **near, err_msg="scores")


@pytest.mark.rules(
    "pooled_softmax-R1", "pooled_softmax-R2", "pooled_softmax-R3", "pooled_softmax-R6",
    "pooled_softmax-R9", "pooled_softmax-R10", "pooled_softmax-R11",
)  # fmt: skip
@EVERY
@WITH
@given(drawn=cases())
@pytest.mark.slow(every=3)
def test_it_agrees_with_loops_over_numbers(
    drawn: tuple[Case, Any], sharpness: float, options: dict[str, Any]
) -> None:
    case, _ = drawn
    out, _ = pooled_softmax.forward(*case, sharpness=sharpness, **options)
    expected = np.mean(naive_losses(case, sharpness=sharpness, **options))
    np.testing.assert_allclose(out, expected, **TIGHT, err_msg="loss")


@pytest.mark.rules(
    "pooled_softmax-R3", "pooled_softmax-R9", "pooled_softmax-R11", "pooled_softmax-R14",
    "pooled_softmax-R15", "pooled_softmax-R16",
)  # fmt: skip
@EVERY
@WITH
@given(drawn=cases())
@pytest.mark.slow(every=3)
def test_the_gradient_agrees_with_central_differences(
    drawn: tuple[Case, np.random.Generator], sharpness: float, options: dict[str, Any]
) -> None:
    case, rng = drawn
    _, saved = pooled_softmax.forward(*case, sharpness=sharpness, **options)

    def function(*moved: Any) -> Any:
        interests, target, negatives = moved
        given_ = interests, case.active, target, negatives, *case[4:]
        out, other = pooled_softmax.forward(*given_, sharpness=sharpness, **options)
        bends = (
            [other.target_slopes != 0, other.negative_slopes != 0] if np.isinf(sharpness) else []
        )
        if options.get("normalise") and interests.shape[2] == 1:  # of length one is a sign: steps
            bends += [x > 0 for x in moved]
        return out, bends

    def backward(cotangent: Any) -> Any:
        return pooled_softmax.backward(float(cotangent), saved)

    kinked_gradients.check(function, backward, (case.interests, case.target, case.negatives), rng)


@pytest.mark.rules("pooled_softmax-R17")
@EVERY
@WITH
@given(drawn=cases())
@pytest.mark.slow(every=3)
def test_with_one_interest_it_is_the_sampled_softmax(
    drawn: tuple[Case, np.random.Generator], sharpness: float, options: dict[str, Any]
) -> None:
    case, rng = drawn
    places = rng.integers(0, case.active.shape[1], len(case.active))
    one, plain = case.of_one_interest(places)
    out, d_interests, *d_items = run(one, sharpness=sharpness, **options)
    expected, saved = sampled_softmax.forward(*plain, **options)
    d_user, *d_expected = sampled_softmax.backward(1.0, saved)
    own = d_interests[np.arange(len(places)), places]
    agree([out, own, *d_items], [expected, d_user, *d_expected])
    assert not d_interests[~one.active].any()


@pytest.mark.rules("pooled_softmax-R18")
@EVERY
@given(drawn=cases())
def test_the_order_of_the_interests_does_not_matter(
    drawn: tuple[Case, np.random.Generator], sharpness: float
) -> None:
    case, rng = drawn
    order = rng.permuted(np.tile(np.arange(case.active.shape[1]), (len(case.active), 1)), axis=1)
    other = case._replace(
        interests=np.take_along_axis(case.interests, order[..., None], axis=1),
        active=np.take_along_axis(case.active, order, axis=1),
    )
    out, d_interests, *d_items = run(case, sharpness=sharpness)
    moved = np.take_along_axis(d_interests, order[..., None], axis=1)
    agree(run(other, sharpness=sharpness), [out, moved, *d_items])


@pytest.mark.rules("pooled_softmax-R2")
@given(drawn=cases())
def test_sharpness_zero_scores_with_the_mean_of_the_interests(drawn: tuple[Case, Any]) -> None:
    case, _ = drawn
    user = [v[own].mean(axis=0) for v, own in zip(case.interests, case.active, strict=True)]
    out, saved = sampled_softmax.forward(np.array(user), *case[2:])
    d_user, *d_items = sampled_softmax.backward(1.0, saved)
    share = case.active / case.active.sum(axis=1, keepdims=True)
    expected = [out, share[..., None] * d_user[:, None], *d_items]
    agree(run(case, sharpness=0.0), expected)


@pytest.mark.rules("pooled_softmax-R1")
@given(drawn=cases())
def test_sharpness_one_is_a_mixture_of_softmaxes(drawn: tuple[Case, Any]) -> None:
    """Over a whole catalogue, all logs zero: the probabilities of the items are mixed."""
    case, _ = drawn
    count = len(case.negatives)
    targets = np.arange(len(case.target)) % count
    logs = np.zeros(len(targets)), np.zeros(count)
    items = case.negatives[targets], case.negatives, targets, np.arange(count)
    out, _ = pooled_softmax.forward(case.interests, case.active, *items, *logs, sharpness=1.0)
    raised = np.exp(case.interests @ case.negatives.T) * case.active[..., None]  # (B, K, S)
    own = raised[np.arange(len(targets)), :, targets]  # (B, K)
    totals = raised.sum(axis=2)
    mixture = totals / totals.sum(axis=1, keepdims=True)
    shares = (mixture * own / np.where(totals == 0, 1, totals)).sum(axis=1)
    np.testing.assert_allclose(out, -np.log(shares).mean(), **TIGHT, err_msg="loss")


@pytest.mark.rules("pooled_softmax-R3")
def test_among_equal_scores_only_the_first_interest_has_a_gradient() -> None:
    case = fixed_case()
    interests = case.interests.copy()
    interests[0, 3] = interests[0, 1]
    interests[0, [0, 2]] = -10 * interests[0, 1]  # the better one where the others are worse
    _, d_interests, _, _ = run(case._replace(interests=interests), sharpness=np.inf)
    assert d_interests[0].any(axis=1).tolist() == [True, True, False, False]


@pytest.mark.rules("pooled_softmax-R4")
@EVERY
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, -7.0])
def test_inactive_interests_have_no_influence(
    sharpness: float, normalise: bool, garbage: float
) -> None:
    case = fixed_case()
    results = []
    for value in (0.0, garbage):
        filled = np.where(case.active[..., None], case.interests, value)
        spoilt = case._replace(interests=filled)
        results.append(run(spoilt, sharpness=sharpness, normalise=normalise))
    for clean, dirty in zip(*results, strict=True):
        assert clean.tobytes() == dirty.tobytes()
    assert not results[1][1][~case.active].any(), "gradient of an inactive interest"


@pytest.mark.rules("pooled_softmax-R7")
@EVERY
def test_an_accidental_hit_is_masked_for_that_user_only(sharpness: float) -> None:
    case = fixed_case()  # the first negative is the target of the first user
    _, saved = pooled_softmax.forward(*case, sharpness=sharpness)
    assert not saved.negative_slopes[0, :, 0].any()
    assert (saved.negative_slopes[1:, :, 0].sum(axis=1) > 0).all()
    own = case.first_users(1)
    rest = own._replace(
        negatives=own.negatives[1:],
        negative_ids=own.negative_ids[1:],
        negative_log_expected=own.negative_log_expected[1:],
    )
    out, d_interests, d_target, d_negatives = run(own, sharpness=sharpness)
    assert not d_negatives[0].any()
    agree([out, d_interests, d_target, d_negatives[1:]], run(rest, sharpness=sharpness))


@pytest.mark.rules("pooled_softmax-R8", "pooled_softmax-R14")
@EVERY
def test_a_repeated_negative_counts_each_time(sharpness: float) -> None:
    """Twice with a log is as good as once with a log that is smaller by log 2."""
    rng = np.random.default_rng(0)
    vectors = normal(rng, 2, 3, 4), np.ones((2, 3), bool), normal(rng, 2, 4)
    negative, ids, log = normal(rng, 1, 4), np.array([1, 2]), normal(rng, 2)
    two = Case(*vectors, negative.repeat(2, axis=0), ids, np.array([7, 7]), log, np.zeros(2))
    one = Case(*vectors, negative, ids, np.array([7]), log, -np.log([2.0]))
    *found, d_negatives = run(two, sharpness=sharpness)
    assert d_negatives.shape == (2, 4)
    near = rounding(np.float64)
    np.testing.assert_allclose(d_negatives[0], d_negatives[1], rtol=near, err_msg="equal rows")
    agree([*found, d_negatives.sum(axis=0, keepdims=True)], run(one, sharpness=sharpness))


@pytest.mark.rules("pooled_softmax-R9")
@EVERY
def test_the_gradient_is_divided_by_the_users_and_scales_with_d_out(sharpness: float) -> None:
    case = fixed_case()
    _, saved = pooled_softmax.forward(*case, sharpness=sharpness)
    d_interests, _, _ = pooled_softmax.backward(2.0, saved)
    _, d_alone, _, _ = run(case.first_users(1), sharpness=sharpness)
    np.testing.assert_allclose(d_interests[0], 2 / 3 * d_alone[0], **TIGHT, err_msg="user 0")


@pytest.mark.rules("pooled_softmax-R10")
@EVERY
def test_the_temperature_divides_products_and_not_logs(sharpness: float) -> None:
    case = fixed_case()
    cold, _ = pooled_softmax.forward(*case, sharpness=sharpness, temperature=0.25)
    longer = case._replace(interests=4 * case.interests)
    expected, _ = pooled_softmax.forward(*longer, sharpness=sharpness)
    np.testing.assert_allclose(cold, expected, **TIGHT, err_msg="products times four")


@pytest.mark.rules("pooled_softmax-R11")
@EVERY
def test_with_normalise_lengths_have_no_influence_and_no_gradient(sharpness: float) -> None:
    case = fixed_case()
    lengths = np.array([[7, 0.1, 3, 1e-100]])[..., None]
    longer = case._replace(
        interests=lengths * case.interests,
        target=0.1 * case.target,
        negatives=1e-200 * case.negatives,
    )
    out, *gradients = run(case, sharpness=sharpness, normalise=True)
    again = run(longer, sharpness=sharpness, normalise=True)[0]
    np.testing.assert_allclose(out, again, rtol=same_math(np.float64), err_msg="lengths")
    for x, d_x in zip((case.interests, case.target, case.negatives), gradients, strict=True):
        np.testing.assert_allclose(
            np.sum(x * d_x, axis=-1), 0, rtol=0, atol=VANISHING, err_msg="along"
        )


@pytest.mark.rules("pooled_softmax-R11")
@EVERY
def test_with_normalise_a_zero_vector_stays_zero_without_gradient(sharpness: float) -> None:
    case = fixed_case()
    interests = case.interests.copy()
    interests[1, 0] = 0
    out, saved = pooled_softmax.forward(
        *case._replace(interests=interests), sharpness=sharpness, normalise=True
    )
    d_interests, _, _ = pooled_softmax.backward(1.0, saved)
    assert np.isfinite(out)
    assert not saved.interests[1, 0].any()
    assert not d_interests[1, 0].any()
    assert d_interests[0].any()
