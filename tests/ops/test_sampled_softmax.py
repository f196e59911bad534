"""sampled_softmax, and what it shares with pooled_softmax: values, gradients, extremes, errors."""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.ops import sampled_softmax
from tests import kinked_gradients, naive, spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly, raises_with
from tests.ops.loss_cases import (
    EACH,
    EACH_EXTREME,
    EACH_OPTION,
    SAMPLED,
    TYPES,
    Case,
    backward,
    cases,
    fixed_case,
    forward,
    of_products,
    run,
)

EXAMPLE = spec_pages.examples("sampled_softmax")[0]


@pytest.mark.rules(
    "sampled_softmax-R1", "sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4",
    "sampled_softmax-R5", "sampled_softmax-R6", "sampled_softmax-R7", "sampled_softmax-R11",
)  # fmt: skip
@pytest.mark.parametrize("expected", EXAMPLE["cases"], ids=["plain", "temperature and length one"])
def test_the_worked_example_matches_the_page(expected):
    options = {k: expected[k] for k in ("temperature", "normalise")}
    arrays = [np.array(EXAMPLE[k]) for k in ("user", *Case._fields[2:])]
    out, saved = sampled_softmax.forward(*arrays, **options)
    gradients = sampled_softmax.backward(1.0, saved)
    got = dict(zip(("d_user", "d_target", "d_negatives"), gradients, strict=True))
    assert_example({"out": out, **got}, expected)
    assert_example({"mean": out}, {"mean": np.mean(expected["losses"])})


@pytest.mark.rules(
    "sampled_softmax-R1", "sampled_softmax-R5", "pooled_softmax-R1", "pooled_softmax-R2",
    "pooled_softmax-R3", "pooled_softmax-R6", "pooled_softmax-R9", "pooled_softmax-R10",
    "pooled_softmax-R11", "pooled_softmax-R18",
)  # fmt: skip
@EACH
@EACH_OPTION
@given(drawn=cases())
def test_it_agrees_with_loops_over_numbers(drawn, sharpness, options):
    case, losses = drawn[0], []
    for b, active in enumerate(case.active):
        sampled = sharpness == SAMPLED
        interests = case.interests[b][:1] if sampled else case.interests[b][active]
        arrays = (case.target[b], case.negatives, case.target_ids[b], case.negative_ids)
        logs = (case.target_log_expected[b], case.negative_log_expected)
        beta = 0.0 if sampled else sharpness
        losses.append(naive.pooled_loss(interests, *arrays, *logs, beta, **options))
    assert_close(forward(case, sharpness, **options)[0], np.mean(losses), "loss")


@pytest.mark.rules(
    "sampled_softmax-R8", "sampled_softmax-R11", "sampled_softmax-R12", "pooled_softmax-R3",
    "pooled_softmax-R9", "pooled_softmax-R11", "pooled_softmax-R14", "pooled_softmax-R15",
    "pooled_softmax-R16",
)  # fmt: skip
@EACH
@EACH_OPTION
@given(drawn=cases())
def test_the_gradient_agrees_with_central_differences(drawn, sharpness, options):
    case, rng = drawn
    _, saved = forward(case, sharpness, **options)

    def function(*moved):
        interests, target, negatives = moved
        changed = case._replace(interests=interests, target=target, negatives=negatives)
        out, other = forward(changed, sharpness, **options)
        sides = (
            [other.target_slopes != 0, other.negative_slopes != 0] if sharpness == np.inf else []
        )
        if options.get("normalise") and interests.shape[2] == 1:  # of length one is a sign: steps
            sides += [x > 0 for x in moved]
        return out, sides

    def gradients(cotangent):
        return backward(float(cotangent), saved, case)

    kinked_gradients.check(function, gradients, (case.interests, case.target, case.negatives), rng)


@pytest.mark.rules("pooled_softmax-R12")
@TYPES
@EACH_EXTREME
def test_huge_products_give_a_finite_loss(sharpness, dtype):
    size = 1e4 if sharpness == 0 else 1e30
    for target in ([size, -size], [-size, -size], [0.0, size]):
        case = of_products(target, [[size, size], [-size, 1.0]], dtype)
        assert all(np.isfinite(x).all() for x in run(case, sharpness))
    # nothing but the second negative is far from the target
    case = of_products([size, size], [[size, size], [-size, -size]], dtype)
    np.testing.assert_allclose(run(case, sharpness)[0], np.log(2), rtol=same_math(dtype))


@pytest.mark.rules("sampled_softmax-R9")
def test_logits_at_the_end_of_the_floats_cause_no_warning():
    out, saved = forward(of_products([0.0], [[1.5e308], [-1.5e308]]), SAMPLED)
    assert out == 1.5e308, "the gap of the negatives is beyond the largest float"
    assert saved.p_negatives.tolist() == [[1, 0]]


@pytest.mark.rules("sampled_softmax-R18", "pooled_softmax-R25")
@EACH_EXTREME
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(
    ("name", "index"),
    [("interests", (0, 0, 1)), ("target", (0, 3)), ("negatives", (2, 3)), ("negatives", (0, 3))],
)
def test_a_product_that_is_not_finite_makes_the_loss_nan(name, index, bad, sharpness):
    case = fixed_case()
    x = getattr(case, name).copy()
    x[index] = bad
    with np.errstate(invalid="ignore"):  # infinity times zero, as it should be
        out, d_interests, d_target, _ = run(case._replace(**{name: x}), sharpness)
    reached = case.active if sharpness != SAMPLED else np.arange(4) < np.ones((3, 1))
    assert np.isnan(out)
    assert np.isnan(d_interests[0][reached[0]]).all()
    assert np.isnan(d_target[0]).all()
    assert not d_interests[~reached].any()
    others = np.isfinite(d_interests[1:]).all() and np.isfinite(d_target[1:]).all()
    assert others == (name != "negatives")


@pytest.mark.rules("sampled_softmax-R12", "pooled_softmax-R15")
@EACH_EXTREME
def test_the_gradient_of_a_tiny_loss_keeps_its_digits(sharpness):
    case = of_products([0.0, 0.0], [[-50.0, -50.0]])
    out, d_interests, d_target, d_negatives = run(case, sharpness)
    got = [out, -d_target.sum(), d_negatives.sum(), d_interests.sum() / -100]
    assert_close(got, 4 * [np.exp(-50.0)], "of size exp(-50)", atol=0)


@pytest.mark.rules("sampled_softmax-R10", "pooled_softmax-R13")
@EACH_EXTREME
@pytest.mark.parametrize("ids", [[], [1], [1, 1]])
def test_a_user_without_negatives_has_no_loss(ids, sharpness):
    rng = np.random.default_rng(0)
    vectors = normal(rng, 1, 2, 3), np.ones((1, 2), bool), normal(rng, 1, 3)
    negatives, logs = normal(rng, len(ids), 3), (np.array([0.5]), normal(rng, len(ids)))
    case = Case(*vectors, negatives, np.array([1]), np.array(ids, np.int64), *logs)
    assert not any(np.any(x) for x in run(case, sharpness))


@pytest.mark.rules("sampled_softmax-R18", "pooled_softmax-R25")
@EACH_EXTREME
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_logit_that_is_not_finite_makes_the_loss_nan_even_if_every_negative_is_a_hit(
    bad, sharpness
):
    case = of_products([1.0, 1.0], [[bad, bad]])._replace(negative_ids=np.array([1]))
    case = case._replace(target_ids=np.array([1]))
    with np.errstate(invalid="ignore"):
        out, _, d_target, d_negatives = run(case, sharpness)
    assert np.isnan([out, d_target.sum(), d_negatives.sum()]).all()


STEMS = pytest.mark.parametrize(
    ("stem", "sharpness"), [("sampled_softmax", SAMPLED), ("pooled_softmax", 1.0)]
)


@pytest.mark.rules("sampled_softmax-R14", "pooled_softmax-R19")
@STEMS
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("negatives", np.ones((5, 3)), "negatives has shape (5, 3) but {users} needs (S, D)"),
        ("target", np.ones((2, 5)), "target has shape (2, 5) but {users} needs (B, D) = (3, 5)"),
        ("target_ids", np.ones(2, int), "target_ids has shape (2,) but {users}"),
        ("negative_ids", np.ones(2, int), "negative_ids has shape (2,) but negatives (5, 5)"),
        ("negative_log_expected", np.ones(1), "negative_log_expected has shape (1,) but negatives"),
        ("target_log_expected", np.ones(1), "target_log_expected has shape (1,) but {users}"),
        ("target_log_expected", np.ones(3, "f4"), "expected one dtype, float32 or float64"),
        ("negative_log_expected", np.ones(5, "f4"), "expected one dtype, float32 or float64"),
        ("target", np.ones((3, 5), int), "expected one dtype, float32 or float64"),
    ],
)
def test_invalid_arrays_raise(name, value, message, stem, sharpness):
    users = "user (3, 5)" if sharpness == SAMPLED else "interests (3, 4, 5)"
    with raises_with(ShapeError, f"{stem}: {message.format(users=users)}"):
        run(fixed_case()._replace(**{name: value}), sharpness)


@pytest.mark.rules("pooled_softmax-R19", "pooled_softmax-R24")
@pytest.mark.parametrize(
    ("active", "message"),
    [
        (np.ones((3, 3), bool), "active has shape (3, 3) but interests (3, 4, 5) needs"),
        (np.ones((3, 4)), "active: expected a mask of dtype bool, got float64"),
        (
            np.ones((3, 4), bool) & (np.arange(3) != 1)[:, None],
            "active: expected an active interest for every user, got none",
        ),
    ],
)
def test_invalid_active_interests_raise(active, message):
    with raises_with(ShapeError, f"pooled_softmax: {message}"):
        run(fixed_case()._replace(active=active), 1.0)


@pytest.mark.rules("sampled_softmax-R15", "pooled_softmax-R20")
@STEMS
@pytest.mark.parametrize("name", ["target_log_expected", "negative_log_expected"])
@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_an_infinite_log_expected_count_raises(name, value, stem, sharpness):
    log = getattr(fixed_case(), name).copy()
    log[1] = value
    message = f"{stem}: {name}: expected finite logs, got an infinite one or NaN"
    with raises_exactly(ShapeError, message):
        run(fixed_case()._replace(**{name: log}), sharpness)


@pytest.mark.rules("sampled_softmax-R16", "pooled_softmax-R21")
@STEMS
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_must_be_above_zero_and_finite(temperature, stem, sharpness):
    message = f"{stem}: temperature: expected a finite number above 0, got {temperature}"
    with raises_exactly(ShapeError, message):
        run(fixed_case(), sharpness, temperature=temperature)


@pytest.mark.rules("sampled_softmax-R17", "pooled_softmax-R23")
@pytest.mark.parametrize(
    ("sharpness", "message"),
    [
        (SAMPLED, "sampled_softmax: user: expected at least one, got none"),
        (1.0, "pooled_softmax: interests: expected at least one user, got none"),
    ],
)
def test_an_empty_batch_raises(sharpness, message):
    with raises_exactly(ShapeError, message):
        run(fixed_case().first_users(0), sharpness)
