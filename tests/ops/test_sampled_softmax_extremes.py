"""sampled_softmax at the edges: huge, tiny, empty, of the wrong kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.ops import sampled_softmax
from tests.ops.softmax_cases import Case, cases, fixed_case, of_logits


@pytest.mark.rules("sampled_softmax-R9")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("target", "negatives", "expected"),
    [
        (1e4, [-1e4, 0.0], 0),
        (-1e4, [1e4, 0.0], 2e4),
        (1e30, [1e30], np.log(2)),
        (-1e30, [-1e30, -1e30], np.log(3)),
    ],
)
def test_huge_logits_give_a_finite_loss(
    target: float, negatives: list[float], expected: float, dtype: Any
) -> None:
    out, saved = of_logits(target, negatives, dtype)
    np.testing.assert_allclose(out, expected, rtol=same_math(dtype), atol=0, err_msg="loss")
    assert all(np.isfinite(d).all() for d in sampled_softmax.backward(1.0, saved))


@pytest.mark.rules("sampled_softmax-R9")
def test_logits_at_the_end_of_the_floats_cause_no_warning() -> None:
    out, saved = of_logits(0.0, [1.5e308, -1.5e308])  # their gap is beyond the largest float
    assert out == 1.5e308
    assert saved.p_negatives.tolist() == [[1, 0]]


@pytest.mark.rules("sampled_softmax-R18")
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_logit_that_is_not_finite_makes_the_loss_nan(place: int, bad: float) -> None:
    logits = [0.5, 1.0, -1.0]
    logits[place] = bad
    out, saved = of_logits(logits[0], logits[1:])
    d_user, d_target, _ = sampled_softmax.backward(1.0, saved)
    assert np.isnan([out, d_user.item(), d_target.item()]).all()


@pytest.mark.rules("sampled_softmax-R12")
def test_the_gradient_of_a_tiny_loss_keeps_its_digits() -> None:
    out, saved = of_logits(0.0, [-50.0])
    _, d_target, d_negatives = sampled_softmax.backward(1.0, saved)
    np.testing.assert_allclose(out, np.exp(-50.0), rtol=same_math(np.float64), err_msg="loss")
    np.testing.assert_allclose(
        d_target, -np.exp(-50.0), rtol=same_math(np.float64), err_msg="target"
    )
    np.testing.assert_allclose(
        d_negatives, np.exp(-50.0), rtol=same_math(np.float64), err_msg="negative"
    )


@pytest.mark.rules("sampled_softmax-R10")
@pytest.mark.parametrize("ids", [[], [1], [1, 1]])
def test_a_user_without_negatives_has_no_loss(ids: list[int]) -> None:
    rng = np.random.default_rng(0)
    count = len(ids)
    user, target, negatives = normal(rng, 1, 3), normal(rng, 1, 3), normal(rng, count, 3)
    logs = np.array([0.5]), normal(rng, count)
    out, saved = sampled_softmax.forward(
        user, target, negatives, np.array([1]), np.array(ids, np.int64), *logs
    )
    assert out == 0
    assert not any(d.any() for d in sampled_softmax.backward(1.0, saved))


@given(drawn=cases(np.float32))
def test_float32_stays_float32_and_agrees_with_float64(drawn: tuple[Case, Any]) -> None:
    case, _ = drawn
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in case]
    out, saved = sampled_softmax.forward(*case)
    exact, _ = sampled_softmax.forward(*wide)
    gradients = sampled_softmax.backward(1.0, saved)
    assert {a.dtype for a in (out, *gradients)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        out, exact, rtol=same_math(np.float32), atol=same_math(np.float32), err_msg="loss"
    )


@pytest.mark.rules("sampled_softmax-R14")
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("negatives", (5, 3), "negatives has shape (5, 3) but user (3, 4) needs (S, D)"),
        ("target", (2, 4), "target has shape (2, 4) but user (3, 4) needs (B, D) = (3, 4)"),
        ("negative_log_expected", (1,), "negative_log_expected has shape (1,) but negatives"),
        ("target_log_expected", (1,), "target_log_expected has shape (1,) but user"),
    ],
)
def test_shapes_that_disagree_raise(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        sampled_softmax.forward(*fixed_case()._replace(**{name: np.ones(shape)}))
    assert f"sampled_softmax: {message}" in str(caught.value)


@pytest.mark.rules("sampled_softmax-R14")
def test_dtypes_that_differ_raise() -> None:
    case = fixed_case()
    with pytest.raises(ShapeError, match=r"expected one dtype.*negative_log_expected float32"):
        sampled_softmax.forward(*case[:-1], case[-1].astype(np.float32))


@pytest.mark.rules("sampled_softmax-R15")
@pytest.mark.parametrize("name", ["target_log_expected", "negative_log_expected"])
@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_an_infinite_log_expected_count_raises(name: str, value: float) -> None:
    case = fixed_case()
    log = getattr(case, name).copy()
    log[1] = value
    with pytest.raises(ShapeError) as caught:
        sampled_softmax.forward(*case._replace(**{name: log}))
    expected = f"sampled_softmax: {name}: expected finite logs, got an infinite one or NaN"
    assert str(caught.value) == expected


@pytest.mark.rules("sampled_softmax-R16")
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_must_be_above_zero_and_finite(temperature: float) -> None:
    with pytest.raises(ShapeError) as caught:
        sampled_softmax.forward(*fixed_case(), temperature=temperature)
    expected = f"sampled_softmax: temperature: expected a finite number above 0, got {temperature}"
    assert str(caught.value) == expected


@pytest.mark.rules("sampled_softmax-R17")
def test_an_empty_batch_raises() -> None:
    with pytest.raises(ShapeError) as caught:
        sampled_softmax.forward(*fixed_case().first_users(0))
    assert str(caught.value) == "sampled_softmax: user: expected at least one, got none"
