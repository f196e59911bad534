"""Rules of specs/routing.md that hold for one axis of the softmax only."""

import numpy as np
import pytest

from mindref.ops import routing
from tests.assertions import assert_close

B, L, K, D = 2, 6, 3, 8
MASK, ACTIVE = np.ones((B, L), bool), np.ones((B, K), bool)


def route(axis, mask=MASK, active=ACTIVE, logit_scale=1.0, repeats=1, log_weights=None):
    """Return capsules and coupling weights; positions after the first L hold zeros."""
    rng, places = np.random.default_rng(3), mask.shape[1]
    history, logits = np.zeros((B, places, D)), np.zeros((B, places, K))
    history[:, :L] = rng.standard_normal((B, L, D))
    logits[:, :L] = logit_scale * rng.standard_normal((B, L, K))
    for x in (history, logits):
        x[:, L : L + repeats - 1] = x[:, :1]
    arrays = (history, mask, np.eye(D), logits, active, log_weights)
    capsules, saved = routing.forward(*arrays, iterations=3, gradient="all", axis=axis)
    return capsules, saved.couplings


@pytest.mark.rules("routing-R2", "routing-R9")
@pytest.mark.parametrize(("axis", "total"), [("interests", 2), ("behaviours", 1)])
def test_coupling_weights_sum_to_one_over_one_axis_only(axis, total):
    _, couplings = route(axis)
    assert_close(couplings.sum(axis=total), 1)
    assert np.abs(couplings.sum(axis=3 - total) - 1).min() > 1e-3


@pytest.mark.rules("routing-R9", "routing-R23")
def test_a_single_interest_depends_on_the_logits_if_the_axis_is_behaviours():
    one = np.arange(K) < np.ones((B, 1))
    sums, _ = route("interests", active=one)
    for scale in (0.0, 1.0, 3.0):
        assert_close(route("interests", active=one, logit_scale=scale)[0], sums)
    scaled = [route("behaviours", active=one, logit_scale=x)[0][:, 0] for x in (0.0, 1.0)]
    assert np.abs(scaled[0] - scaled[1]).max() > 0.1
    assert np.abs(scaled[1] - sums[:, 0]).max() > 0.1


@pytest.mark.rules("routing-R6", "routing-R9")
def test_padding_with_coupling_weights_shortens_capsules_if_the_axis_is_behaviours():
    """As in public code, 30 padded positions of zeros receive coupling weights."""
    longer = np.ones((B, L + 30), bool)
    plain, padded = (route("interests", mask=mask)[0] for mask in (MASK, longer))
    assert_close(padded, plain)
    lengths = [
        np.linalg.norm(route("behaviours", mask=mask)[0], axis=-1) for mask in (MASK, longer)
    ]
    assert (lengths[1] < lengths[0]).all()
    assert lengths[1].mean() < 0.8 * lengths[0].mean()


@pytest.mark.rules("routing-R9", "routing-R37")
@pytest.mark.parametrize("axis", routing.AXES)
def test_log_two_is_a_second_copy_only_if_the_axis_is_interests(axis):
    log_two = np.where(np.arange(L) == 0, np.log(2), 0.0)[:, None] * np.ones((B, 1, K))
    weighted, _ = route(axis, log_weights=log_two)
    twice, _ = route(axis, mask=np.ones((B, L + 1), bool), repeats=2)
    if axis == "interests":
        assert_close(weighted, twice)
    else:
        assert np.abs(weighted - twice).max() > 0.01
