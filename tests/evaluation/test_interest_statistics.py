"""Interest statistics and the recovery of true interests, by hand and on random groups."""

import numpy as np
import pytest

from mindref.errors import DataError
from mindref.evaluation.interest_statistics import (
    effective_number,
    interest_recovery,
    interest_statistics,
    mean_cosine,
    shuffle_labels,
)
from tests import spec_pages

EXAMPLES = {example["name"]: example for example in spec_pages.examples("metrics")}


@pytest.mark.rules("metrics-R12", "metrics-R13", "metrics-R14", "metrics-R15")
def test_the_worked_example_of_interest_statistics():
    page = EXAMPLES["interest_statistics"]
    # a second user has one active interest, a third no behaviour: neither says anything
    interests = np.array([page["interests"]] * 3, np.float64)
    active = np.array([[True] * 3, [True, False, False], [True] * 3])
    couplings = np.array([page["couplings"], [[0, 0, 1.0]] * 2, page["couplings"]])
    mask = np.array([[True, True], [True, True], [False, False]])
    found = interest_statistics(interests, active, couplings, mask)
    assert found.users == 1
    np.testing.assert_allclose(found.similarity, page["similarity"])
    np.testing.assert_allclose(found.share_by_index, page["shares"])
    np.testing.assert_allclose(found.effective_number, page["effective_number"])


@pytest.mark.rules("metrics-R12")
def test_similarity_is_the_mean_over_pairs():
    rng = np.random.default_rng(4)
    interests = rng.standard_normal((1, 4, 3))
    interests[0, 1] = 0
    active = np.array([[True, True, False, True]])
    unit = interests[0] / np.maximum(np.linalg.norm(interests[0], axis=1, keepdims=True), 1e-9)
    expected = (unit[0] @ unit[1] + unit[0] @ unit[3] + unit[1] @ unit[3]) / 3
    np.testing.assert_allclose(mean_cosine(interests, active), [expected])


@pytest.mark.rules("metrics-R13", "metrics-R14")
def test_collapse_is_visible_by_rank_and_padding_is_ignored():
    # two users put all in one interest each, another one
    couplings = np.array([[[1.0, 0], [0.2, 0.8]], [[0, 1.0], [np.nan, np.nan]]])
    mask = np.array([[True, False], [True, False]])
    found = interest_statistics(np.ones((2, 2, 3)), np.ones((2, 2), np.bool_), couplings, mask)
    assert found.share_by_index.tolist() == [0.5, 0.5]
    assert found.share_by_rank.tolist() == [1, 0]
    assert found.effective_number == 1
    np.testing.assert_allclose(effective_number(np.full((1, 4), 0.25)), 4)


@pytest.mark.rules("metrics-R15", "metrics-R16")
def test_statistics_need_a_user_with_two_interests():
    with pytest.raises(DataError, match="a user with two active interests"):
        interest_statistics(
            np.ones((1, 2, 3)), np.array([[True, False]]), np.ones((1, 1, 2)), np.array([[True]])
        )
    couplings, mask = couplings_of([0, 1, 2])[None], np.array([[True, True, False]])
    labels, rng = np.array([[1, -1, 2]]), np.random.default_rng(0)
    with pytest.raises(DataError, match="a user with two true interests"):
        interest_recovery(couplings, mask, labels, rng)


def couplings_of(found, interests=3):
    return np.eye(interests)[found] * 0.4 + 0.2


@pytest.mark.rules("metrics-R16", "metrics-R17", "metrics-R19")
def test_the_worked_example_of_recovery():
    page = EXAMPLES["recovery"]
    # then a passing fancy, then a padded place; and a user with one planted interest only
    couplings = np.stack(
        [couplings_of([*page["predicted"], 0, 0]), couplings_of([0, 1, 0, 1, 0, 1, 0])]
    )
    planted = np.array([[*page["true_interests"], -1, 1], [2] * 7])
    mask = np.array([[True] * 6 + [False], [True] * 7])
    found = interest_recovery(couplings, mask, planted, np.random.default_rng(0))
    assert found.users == 1
    np.testing.assert_allclose(found.ari, page["ari"])
    np.testing.assert_allclose(found.purity, page["purity"])


@pytest.mark.rules("metrics-R16", "metrics-R17", "metrics-R18", "metrics-R19")
def test_recovery_is_a_mean_over_users_with_two_different_labels():
    groups = np.array(
        [[0, 0, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0], [0, 1, 2, 0, 1, 2, 0, 1]]
    )
    true = np.array([[0, 1, 2, 2, 0, 1, 0, 1], [0, 0, 1, 1, 1, 1, 1, 1], [3] * 8])
    mask = np.arange(8) < [[8], [4], [8]]  # the last user has eight behaviours of one true label
    both, *alone = (
        interest_recovery(couplings_of(groups[u]), mask[u], true[u], np.random.default_rng(0))
        for u in ([0, 1, 2], [0], [1])
    )
    assert both.users == 2
    assert (alone[0].purity, alone[1].purity) == (5 / 8, 3 / 4)
    assert both.purity == pytest.approx((5 / 8 + 3 / 4) / 2), "the mean over behaviours is 8 / 12"
    assert both.ari == pytest.approx((alone[0].ari + alone[1].ari) / 2)


@pytest.mark.rules("metrics-R18")
def test_chance_is_a_mean_over_twenty_permutations(monkeypatch):
    shuffled = []
    monkeypatch.setattr(
        "mindref.evaluation.interest_statistics.shuffle_labels",
        lambda x, *_: shuffled.append(x) or x,
    )
    labels, mask = np.array([[0, 1, 1]]), np.ones((1, 3), bool)
    interest_recovery(couplings_of([0, 1, 2])[None], mask, labels, np.random.default_rng(0))
    assert len(shuffled) == 20


@pytest.mark.rules("metrics-R19")
@pytest.mark.parametrize(
    ("found", "planted", "expected"),
    [
        ([0, 0, 1, 1], [5, 5, 2, 2], 1.0),  # whatever the groups are called
        ([0, 0, 1, 1], [0, 0, 0, 1], 0.0),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.0),
        ([0, 1, 2], [2, 0, 1], 1.0),  # each alone in both
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
    ],
)
def test_the_adjusted_rand_index_by_hand(found, planted, expected):
    labels = np.array([planted])
    mask = np.ones_like(labels, np.bool_)
    got = interest_recovery(couplings_of(found)[None], mask, labels, np.random.default_rng(0))
    np.testing.assert_allclose(got.ari, expected)


@pytest.mark.rules("metrics-R18")
def test_chance_is_the_value_of_shuffled_labels():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, (400, 12))
    couplings = rng.random((400, 12, 4))
    mask = np.arange(12) < rng.integers(4, 13, (400, 1))
    none = interest_recovery(couplings, mask, labels, np.random.default_rng(0))
    np.testing.assert_allclose(none.ari, 0, atol=0.03)
    np.testing.assert_allclose(none.ari_chance, 0, atol=0.01)
    np.testing.assert_allclose(none.purity, none.purity_chance, atol=0.02)
    whole = interest_recovery(np.eye(4)[labels], mask, labels, np.random.default_rng(0))
    assert (whole.ari, whole.purity) == (1, 1)
    assert whole.purity_chance < 0.75
    np.testing.assert_allclose(whole.ari_chance, 0, atol=0.01)


@pytest.mark.rules("metrics-R18")
def test_labels_are_shuffled_within_their_user_and_only_among_the_counted():
    labels = np.array([[1, 2, 3, 9], [4, 5, 9, 6]])
    counted = labels != 9
    out = shuffle_labels(labels, counted, np.random.default_rng(0))
    assert (np.sort(out, axis=1) == np.sort(labels, axis=1)).all()
    assert (out[~counted] == 9).all()
    assert not (out == labels).all()
