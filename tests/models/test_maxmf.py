"""MaxMF: the score, the pair loss, the parameters. Gradient and serving have their own files."""

import numpy as np
import pytest
from hypothesis import given

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS, same_math
from mindref.errors import ConfigError, ShapeError
from mindref.models import maxmf, mind, warp
from mindref.models.parameters import Sizes, catalogue_of_ids
from tests import naive, spec_pages
from tests.assertions import assert_close, assert_example
from tests.models.worlds import MAXMF_USERS, World, maxmf_world, maxmf_worlds

SAME = same_math(np.float64)
EXAMPLE, SEEDS = spec_pages.examples("maxmf")
EACH_PAIR_LOSS = pytest.mark.parametrize("pair_loss", warp.PAIR_LOSSES)


def example():
    def a(name):
        return np.array(EXAMPLE[name])

    config = Config.of("mind", {"interests": 2, "width": 2, "dtype": "float64"})
    histories = mind.Histories(a("history"), a("mask"), np.zeros((3, 2, 2)), np.zeros((3, 0), int))
    shared = mind.Batch(histories, a("target"), a("negatives"), np.zeros(3), np.zeros(4))
    batch = maxmf.Batch(shared, a("rows"))
    params = maxmf.Params(a("items"), a("users"))
    return World(params, batch, catalogue_of_ids(6, "float64"), config, Sizes(6, 6, 0, 0), maxmf)


def loss_of(w, pair_loss="warp", **changes):
    return float(w._replace(batch=w.batch._replace(**changes)).loss(pair_loss=pair_loss)[0])


def ranked(at_target, at_negatives, **named):
    """Return loss and weights of one pair, whose trials are in the order given."""
    usable = named.pop("usable", [True] * len(at_negatives))
    scores = np.array([at_target]), np.array([at_negatives], float)
    loss, saved = warp.forward(*scores, np.array([usable], bool), **{"items": 101, **named})
    return float(loss), saved.weights[0]


@pytest.mark.rules("maxmf-R1", "maxmf-R4", "maxmf-R6", "maxmf-R8", "maxmf-R9", "maxmf-R15")
@EACH_PAIR_LOSS
def test_the_worked_example_matches_the_page(pair_loss):
    w = example()
    got = {"losses": naive.maxmf_losses(w, pair_loss), "loss": loss_of(w, pair_loss)}
    gradients = w.dense(w.gradients(pair_loss=pair_loss))
    got |= {"d_items": gradients["items"], "d_users": gradients["users"]}
    assert_example(got, EXAMPLE[pair_loss])


@pytest.mark.rules(
    "maxmf-R1", "maxmf-R2", "maxmf-R3", "maxmf-R4", "maxmf-R6", "maxmf-R7", "maxmf-R8", "maxmf-R9"
)
@EACH_PAIR_LOSS
@given(w=maxmf_worlds())
def test_it_agrees_with_loops_over_numbers(w, pair_loss):
    assert_close(loss_of(w, pair_loss), np.mean(naive.maxmf_losses(w, pair_loss)))


@pytest.mark.rules("maxmf-R2")
def test_of_equal_interests_the_first_is_the_best():
    found = maxmf.best_interest_scores(np.array([[[1.0, 3.0]], [[5.0, 2.0]]]).transpose(1, 0, 2))
    assert found.best.tolist() == [[5.0, 3.0]]
    assert found.interest.tolist() == [[1, 0]]
    assert maxmf.best_interest_scores(np.ones((2, 3))).interest.tolist() == [0, 0]


@pytest.mark.rules("maxmf-R3", "maxmf-R5")
@EACH_PAIR_LOSS
def test_within_the_margin_counts_and_beyond_it_does_not(pair_loss):
    loss, weights = ranked(2.0, [1.5], items=2, pair_loss=pair_loss)
    assert (loss, weights.tolist()) == (0.5, [1.0])
    loss, weights = ranked(2.0, [1.0, -4.0], pair_loss=pair_loss)
    assert (loss, weights.tolist()) == (0.0, [0.0, 0.0])


@pytest.mark.rules("maxmf-R4", "maxmf-R10")
def test_an_unusable_negative_is_no_trial():
    usable = [False, True, False, True]
    loss, weights = ranked(0.0, [5.0, -2.0, 7.0, 1.0], usable=usable, items=11)
    second_trial_of_ten = 2 * sum(1 / j for j in range(1, 6))
    assert loss == pytest.approx(second_trial_of_ten, rel=SAME)
    assert np.flatnonzero(weights).tolist() == [3]
    assert ranked(0.0, [5.0, 7.0], usable=[False, False])[0] == 0
    usable = [True, True, False, True, True]
    loss, _ = ranked(1.0, [0.5, -1.0, 9.0, 2.0, 0.0], usable=usable, pair_loss="auc")
    assert loss == pytest.approx((0.5 + 0 + 2.0 + 0) / 4, rel=SAME), "the mean over four"


@pytest.mark.rules("maxmf-R4")
def test_known_items_of_the_batch_replace_those_of_the_history():
    w = example()
    known = maxmf.known_negatives(w.batch)
    assert known.astype(int).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert loss_of(w, is_known=known) == loss_of(w)
    assert loss_of(w, is_known=np.zeros((3, 4), bool)) > loss_of(w)
    assert loss_of(w, is_known=np.ones((3, 4), bool)) == 0
    padded = w.with_histories(mask=np.zeros_like(w.histories.mask))
    assert not maxmf.known_negatives(padded.batch).any(), "a padded position is no behaviour"


@pytest.mark.rules("maxmf-R6")
def test_the_pairs_begin_apart_and_go_round():
    assert warp.trial_order(3, 4).tolist() == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1]]
    assert warp.trial_order(4, 2).tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    scores = np.zeros(2), np.array([[1.0, 2.0], [1.0, 2.0]])
    _, saved = warp.forward(*scores, np.ones((2, 2), bool), items=2)
    assert saved.weights.tolist() == [[1, 0], [0, 1]], "the first violator, not the worst"


@pytest.mark.rules("maxmf-R7", "maxmf-R8")
@pytest.mark.parametrize(
    ("trial", "rank"), [(1, 100), (2, 50), (3, 33), (51, 1), (100, 1), (150, 1)]
)
def test_the_weight_is_the_harmonic_number_of_the_rank(trial, rank):
    loss, weights = ranked(3.0, [-9.0] * (trial - 1) + [3.0, 9.0])
    expected = sum(1 / j for j in range(1, rank + 1))
    assert weights[trial - 1] == pytest.approx(expected, rel=SAME)
    assert loss == pytest.approx(expected, rel=SAME)


@pytest.mark.rules("maxmf-R11")
@EACH_PAIR_LOSS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_score_that_is_not_finite_is_not_a_perfect_order(bad, pair_loss):
    assert ranked(0.0, [], pair_loss=pair_loss)[0] == 0
    assert np.isnan(ranked(bad, [0.0], pair_loss=pair_loss)[0])
    assert np.isnan(ranked(9.0, [0.0, bad], pair_loss=pair_loss)[0])
    assert np.isnan(ranked(bad, [], pair_loss=pair_loss)[0])
    _, weights = ranked(bad, [0.0], pair_loss=pair_loss)
    assert np.isnan(weights).all(), "and so is the gradient"


@pytest.mark.rules("maxmf-R5", "maxmf-R11")
@EACH_PAIR_LOSS
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.filterwarnings("ignore:overflow")
def test_only_the_best_vectors_of_a_pair_that_is_not_finite_have_nan_gradients(pair_loss):
    w = example()
    items = np.where(np.arange(6)[:, None] == 2, [[1e200, 0.0]], w.params.items)
    users = np.array([[1e200, 0.0], [-9.0, -9.0], [-0.4, 0.3], [0.0, 0.0]])  # pair 0 overflows
    w = w.with_params(items=items, users=users)
    negatives = np.array([0, 5])  # best for both: the first vector of the first user
    for count in (2, 0):
        changed = w.with_shared(negatives=negatives[:count], negative_log_expected=np.zeros(count))
        assert np.isnan(loss_of(changed, pair_loss))
        gradients = changed.dense(changed.gradients(pair_loss=pair_loss))
        nan_rows = {x: np.isnan(gradients[x]).all(axis=1).nonzero()[0].tolist() for x in gradients}
        # the target is item 2; without a negative, no gradient is NaN
        expected = ([0, 2, 5], [0]) if count else ([], [])
        assert (nan_rows["items"], nan_rows["users"]) == expected


@pytest.mark.rules("maxmf-R12")
def test_invalid_pairs_raise():
    with pytest.raises(ConfigError, match="pair_loss: expected warp or auc, got 'wrap'"):
        ranked(0.0, [1.0], pair_loss="wrap")
    nobody = np.zeros((0, 2))
    with pytest.raises(ShapeError, match="target: expected at least one, got none"):
        warp.forward(np.zeros(0), nobody, nobody > 0, items=3)
    with pytest.raises(ShapeError, match="usable has shape"):
        ranked(0.0, [1.0], usable=[True, False])
    w = maxmf_world(np.random.default_rng(0), (3, 5, 2, 4))
    for row in (-1, MAXMF_USERS):
        with pytest.raises(ShapeError, match="rows: expected indices from 0 to 7"):
            loss_of(w, rows=np.array([0, row, 1]))


@pytest.mark.rules("maxmf-R13")
def test_the_tables_begin_with_vectors_of_length_near_one():
    config = Config.of("mind", {"interests": 3, "width": 16, "dtype": "float64"})
    params = maxmf.init(np.random.default_rng(0), config, Sizes(300, 400, 0, 0, users=500))
    assert [table.shape for table in params] == [(400, 16), (1500, 16)]
    for table in params:
        error = np.sqrt(2 / table.size)  # of a mean of squares of N(0, 1)
        assert abs((table**2).mean() * 16 - 1) < STANDARD_ERRORS * error
        assert abs(table.mean()) < STANDARD_ERRORS / np.sqrt(16 * table.size)
    assert not np.array_equal(params.items, params.users[:400])
