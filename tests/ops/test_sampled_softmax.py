"""sampled_softmax: values, what the correction buys, hits, repeats, extremes, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import gradient
from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import VANISHING, WORKED_EXAMPLE, rounding, same_math
from mindref.ops import sampled_softmax
from tests import naive, spec_pages
from tests.ops.softmax_cases import Case, cases, fixed_case

EXAMPLE = spec_pages.examples("sampled_softmax")[0]


def naive_losses(case: Case, temperature: float = 1.0, normalise: bool = False) -> list[float]:
    return [
        naive.sampled_loss(
            case.user[b],
            case.target[b],
            case.negatives,
            case.target_ids[b],
            case.negative_ids,
            case.target_log_expected[b],
            case.negative_log_expected,
            temperature,
            normalise,
        )
        for b in range(len(case.user))
    ]


@pytest.mark.rules(
    "sampled_softmax-R1",
    "sampled_softmax-R2",
    "sampled_softmax-R3",
    "sampled_softmax-R4",
    "sampled_softmax-R5",
    "sampled_softmax-R6",
    "sampled_softmax-R7",
    "sampled_softmax-R11",
)
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=["plain", "temperature and length one"])
def test_the_worked_example_matches_the_page(expected: dict[str, Any]) -> None:
    options = {k: expected[k] for k in ("temperature", "normalise")}
    out, saved = sampled_softmax.forward(*(np.array(EXAMPLE[k]) for k in Case._fields), **options)
    gradients = sampled_softmax.backward(1.0, saved)
    got = dict(zip(("d_user", "d_target", "d_negatives"), gradients, strict=True))
    for name, value in {"out": out, **got}.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=WORKED_EXAMPLE, err_msg=name)
    np.testing.assert_allclose(
        out, np.mean(expected["losses"]), rtol=0, atol=WORKED_EXAMPLE, err_msg="mean"
    )


@pytest.mark.rules("sampled_softmax-R1", "sampled_softmax-R5")
@pytest.mark.parametrize(("temperature", "normalise"), [(1.0, False), (0.1, True), (3.0, False)])
@given(drawn=cases())
def test_it_agrees_with_loops_over_numbers(
    drawn: tuple[Case, Any], temperature: float, normalise: bool
) -> None:
    case, _ = drawn
    out, _ = sampled_softmax.forward(*case, temperature=temperature, normalise=normalise)
    expected = np.mean(naive_losses(case, temperature, normalise))
    np.testing.assert_allclose(
        out, expected, rtol=same_math(np.float64), atol=VANISHING, err_msg="loss"
    )


@pytest.mark.rules("sampled_softmax-R8", "sampled_softmax-R11", "sampled_softmax-R12")
@pytest.mark.parametrize(("temperature", "normalise"), [(1.0, False), (0.5, True), (3.0, False)])
@given(drawn=cases())
def test_the_gradient_agrees_with_central_differences(
    drawn: tuple[Case, np.random.Generator], temperature: float, normalise: bool
) -> None:
    case, rng = drawn
    options: dict[str, Any] = {"temperature": temperature, "normalise": normalise}
    _, saved = sampled_softmax.forward(*case, **options)

    def function(*moved: Any) -> Any:
        return sampled_softmax.forward(*moved, *case[3:], **options)[0]

    def backward(cotangent: Any) -> Any:
        return sampled_softmax.backward(float(cotangent), saved)

    gradient.check_gradient(function, backward, case[:3], rng, step=gradient.SHORT_STEP)


@pytest.mark.rules("sampled_softmax-R3")
def test_an_accidental_hit_is_masked_for_that_user_only() -> None:
    rng = np.random.default_rng(0)
    user, target, negatives = normal(rng, 2, 3), normal(rng, 2, 3), normal(rng, 2, 3)
    zeros = np.zeros(2)
    args = (user, target, negatives, np.array([4, 5]), np.array([4, 6]), zeros, zeros)
    _, saved = sampled_softmax.forward(*args)
    assert saved.p_negatives[0, 0] == 0
    assert (saved.p_negatives[[0, 1, 1], [1, 0, 1]] > 0).all()
    # and it is out of the sum: the loss is that without it
    out, _ = sampled_softmax.forward(
        user[:1], target[:1], negatives, *(x[:1] for x in args[3:4]), args[4], zeros[:1], zeros
    )
    logits = user[0] @ negatives[1] - user[0] @ target[0]
    np.testing.assert_allclose(
        out, np.log1p(np.exp(logits)), rtol=same_math(np.float64), err_msg="loss"
    )


@pytest.mark.rules("sampled_softmax-R4")
def test_a_repeated_negative_counts_each_time() -> None:
    rng = np.random.default_rng(0)
    user, target, negative = normal(rng, 2, 3), normal(rng, 2, 3), normal(rng, 1, 3)
    zeros = np.zeros(2)
    repeated = np.concatenate([negative, negative])
    ids, other = np.array([1, 2]), np.array([7, 7])
    out, saved = sampled_softmax.forward(user, target, repeated, ids, other, zeros, zeros)
    at = np.einsum("bd,bd->b", user, target)
    expected = np.log1p(2 * np.exp(user @ negative[0] - at)).mean()
    np.testing.assert_allclose(out, expected, rtol=same_math(np.float64), err_msg="loss")
    _, _, d_negatives = sampled_softmax.backward(1.0, saved)
    assert d_negatives.shape == (2, 3)
    np.testing.assert_allclose(
        d_negatives[0], d_negatives[1], rtol=rounding(np.float64), err_msg="equal rows"
    )


@pytest.mark.rules("sampled_softmax-R6")
def test_the_temperature_divides_products_and_not_logs() -> None:
    case = fixed_case()
    cold = sampled_softmax.forward(*case, temperature=0.25)[0]
    scaled = case._replace(user=4 * case.user)
    np.testing.assert_allclose(
        cold,
        sampled_softmax.forward(*scaled)[0],
        rtol=same_math(np.float64),
        err_msg="products times four",
    )


@pytest.mark.rules("sampled_softmax-R7", "sampled_softmax-R8")
def test_with_normalise_lengths_have_no_influence_and_no_gradient() -> None:
    case = fixed_case()
    out, saved = sampled_softmax.forward(*case, normalise=True)
    longer = case._replace(
        user=7 * case.user, target=0.1 * case.target, negatives=1e-200 * case.negatives
    )
    again, _ = sampled_softmax.forward(*longer, normalise=True)
    np.testing.assert_allclose(out, again, rtol=same_math(np.float64), err_msg="lengths")
    for x, d_x in zip(case[:3], sampled_softmax.backward(1.0, saved), strict=True):
        np.testing.assert_allclose(
            np.sum(x * d_x, axis=1), 0, rtol=0, atol=VANISHING, err_msg="along"
        )


@pytest.mark.rules("sampled_softmax-R8")
def test_with_normalise_a_zero_vector_stays_zero_without_gradient() -> None:
    case = fixed_case()
    user = np.concatenate([np.zeros((1, 4)), case.user[1:]])
    out, saved = sampled_softmax.forward(*case._replace(user=user), normalise=True)
    d_user, _, _ = sampled_softmax.backward(1.0, saved)
    assert np.isfinite(out)
    assert not saved.user[0].any()
    assert not d_user[0].any()


@pytest.mark.rules("sampled_softmax-R5")
def test_the_gradient_is_divided_by_the_users_and_scales_with_d_out() -> None:
    case = fixed_case()
    _, saved = sampled_softmax.forward(*case)
    d_user, _, _ = sampled_softmax.backward(2.0, saved)
    _, first = sampled_softmax.forward(*case.first_users(1))
    d_alone, _, _ = sampled_softmax.backward(1.0, first)
    np.testing.assert_allclose(
        d_user[0], 2 / 3 * d_alone[0], rtol=same_math(np.float64), err_msg="user 0"
    )
