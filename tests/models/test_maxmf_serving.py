"""MaxMF for users who are served: vectors fitted to a history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.config import Config
from mindref.conformance import strategies
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.models import foldin, maxmf, mind
from mindref.models.parameters import Sizes, catalogue_of_ids
from tests.assertions import assert_close, assert_example
from tests.models.test_logits import mixed
from tests.models.test_maxmf import EXAMPLE, SEEDS, example
from tests.models.worlds import World, maxmf_world


def histories_of(items, mask):
    items, mask = np.array(items), np.array(mask, bool)
    return mind.Histories(items, mask, np.zeros((*items.shape, 1)), np.zeros((len(items), 0), int))


def served(w):
    """Return the fitted interests of the users of a world, and which are active."""
    return maxmf.fit_interests(w.params, w.histories, w.catalogue, w.config)[:2]


def crowd(rng, items, users, longest, **plain):
    """Return a world of users with histories of all lengths up to the longest, from none."""
    config = Config.of("mind", {"model": "maxmf", "width": 6, "dtype": "float64", **plain})
    lengths = np.arange(users) % (longest + 1)
    mask = rng.permuted(np.arange(longest) < lengths[:, None], axis=1)
    table = (rng.standard_normal((items, config.width)) / 2).astype(config.dtype)
    histories = histories_of(rng.integers(0, items, mask.shape), mask)
    zeros = np.zeros(users, int), np.zeros(0, int), np.zeros(users), np.zeros(0)
    batch = maxmf.Batch(mind.Batch(histories, *zeros), zeros[0])
    params = maxmf.Params(table, np.zeros((config.interests, config.width), config.dtype))
    sizes = Sizes(items, items, 0, 0, users)
    return World(params, batch, catalogue_of_ids(items, config.dtype), config, sizes, maxmf)


@pytest.mark.rules("maxmf-R18", "maxmf-R21", "maxmf-R22")
def test_the_worked_example_matches_the_page():
    vectors, active = served(example())
    assert_example({"interests": vectors}, EXAMPLE)
    assert active.tolist() == EXAMPLE["active"]


@pytest.mark.rules("numerics-R15")
@pytest.mark.parametrize("integers", ["int8", "uint8"])
def test_the_type_of_integers_changes_no_byte(integers):
    """With 4 interests, row 64 of the users is 256 in their table; the catalogue has 300 items."""
    w = crowd(np.random.default_rng(0), 300, 65, 5, interests=4)
    items = np.minimum(w.histories.items, 100)
    table = np.random.default_rng(1).standard_normal((4 * 65, w.config.width))
    losses, vectors = [], []
    for integer_type in (np.int64, integers):
        histories = w.histories._replace(items=items.astype(integer_type))
        rows = np.arange(65).astype(integer_type)
        shared = mind.Batch(histories, rows, rows[:9] + 7, np.zeros(65), np.zeros(9))
        world = w._replace(params=w.params._replace(users=table), batch=maxmf.Batch(shared, rows))
        losses.append(world.loss()[0].tobytes())
        vectors.append(served(world)[0].tobytes())
    assert losses[0] == losses[1]
    assert vectors[0] == vectors[1]


@pytest.mark.rules("maxmf-R18", "maxmf-R19", "maxmf-R20", "maxmf-R23")
@pytest.mark.parametrize("interests", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_user_has_an_interest_for_each_item_up_to_k_and_the_same_bytes_alone(interests, dtype):
    """Histories of lengths up to 70, in many blocks, on a catalogue larger than is compared."""
    rng = np.random.default_rng(0)
    w = crowd(rng, 700, 300, 70, interests=interests, dtype=dtype, width=40)
    vectors, active = served(w)
    for b in [*range(6), *rng.permutation(300)[:15]]:
        items = w.histories.items[b][w.histories.mask[b]]
        count = max(1, min(interests, len(set(items))))
        assert active[b].tolist() == [k < count for k in range(interests)]
        assert not vectors[b][~active[b]].any()
        assert vectors[b].any() == (len(items) > 0)
        history = np.concatenate([rng.permutation(items), items[:2]])
        histories = histories_of([history], np.ones((1, len(history)), bool))
        alone, active_alone = served(w.with_shared(histories=histories))
        assert alone[0].tobytes() == vectors[b].tobytes(), f"user {b} of {len(set(items))} items"
        assert active_alone[0].tolist() == active[b].tolist()


def farthest_first(directions, count):
    """Return the seeds of a user who has these directions (n, D), and of one who has two places."""
    padded = np.concatenate([directions, -9 * np.ones((2, directions.shape[1]))])
    mine = np.arange(len(padded)) < np.array([[len(directions)], [2]])
    return foldin.farthest_first(np.stack([padded, padded]), mine, count)[0].tolist()


@pytest.mark.rules("maxmf-R20")
def test_seeds_are_the_middle_one_and_then_the_farthest():
    angles = np.deg2rad(SEEDS["angles"])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert farthest_first(directions, 3) == SEEDS["seeds"]
    apart = np.linalg.norm(directions[:, None] - directions[SEEDS["seeds"][:2]], axis=2)
    assert (apart.sum(axis=1).argmax(), apart[:, 1].argmax()) == (0, 0), "another rule differs"
    assert farthest_first(directions, 4) == [*SEEDS["seeds"], 0]
    assert farthest_first(np.ones((3, 2)), 3) == [0, 1, 2], "all alike"
    lengths = 10.0 ** np.arange(-3, len(directions) - 3)[:, None]
    assert farthest_first(foldin.unit_directions(directions * lengths), 3) == SEEDS["seeds"]
    assert foldin.unit_directions(np.zeros((1, 2))).tolist() == [[0, 0]]


@pytest.mark.rules("maxmf-R20", "maxmf-R25")
def test_equal_directions_go_to_the_lower_id_whatever_the_rounding():
    """In exact arithmetic, the mean of two directions is equally near to both."""
    rng = np.random.default_rng(0)
    for width in (2, 5, 40):
        for pair in foldin.unit_directions(rng.standard_normal((200, 2, width))):
            assert farthest_first(pair, 2) == [0, 1]
    square = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    turn = np.deg2rad(17)
    turned = square @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    assert farthest_first(turned, 4) == [0, 2, 1, 3]
    apart = np.deg2rad([0, 90.01, 90])  # a difference beyond the tolerance still decides
    assert farthest_first(np.stack([np.cos(apart), np.sin(apart)], axis=1), 2) == [2, 0]


def users_of(items, own, padding=0):
    """Return one user who has some of the items and is compared with all of them at each step."""
    count, met = len(own), np.isin(np.arange(len(items)), own)
    places = np.concatenate([items[own], np.zeros((padding, items.shape[1]))])
    mine = np.arange(len(places))[None] < count
    all_steps = [np.stack([x] * foldin.STEPS) for x in (items, met[None])]
    return foldin.UserBlock(places[None], mine, *all_steps)


@pytest.mark.rules("maxmf-R20")
def test_without_a_slope_the_vectors_are_the_items_of_the_seeds():
    items = 0.5 * np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    fitted = foldin.fit_user_vectors(users_of(items, np.arange(3), 2), 2)  # there is no other item
    assert fitted.tolist() == [[items[1].tolist(), items[2].tolist()]]


def pair_slope(vectors, own, others):
    """Return the gradient of the mean hinge by the vectors (K, D), pair by pair."""
    of_own, of_others = vectors @ own.T, vectors @ others.T
    best, other_best = of_own.argmax(axis=0), of_others.argmax(axis=0)
    total = np.zeros_like(vectors)
    for d, j in np.argwhere(1 - of_own.max(axis=0)[:, None] + of_others.max(axis=0) > 0):
        total[best[d]] -= own[d]
        total[other_best[j]] += others[j]
    return total / (len(own) * len(others))


@pytest.mark.rules("maxmf-R2", "maxmf-R21")
def test_the_lowest_of_equal_interests_has_the_slope():
    rng = np.random.default_rng(0)
    items, vectors = rng.standard_normal((7, 3)), rng.standard_normal((1, 3)).repeat(3, axis=0)
    users, active = users_of(items, [1, 4]), np.ones((1, 3), bool)
    slope = foldin.margin_gradient(vectors[None], active, users, 0)[0]
    assert slope.any(axis=1).tolist() == [True, False, False]


def plainly(own, others, most):
    """Return the vectors of a user, fitted pair by pair; others: those compared at each step."""
    vectors = own[farthest_first(foldin.unit_directions(own), min(most, len(own)))]
    for step in range(21):
        lengths = np.linalg.norm(vectors, axis=1)[:, None]
        vectors = np.where(lengths > 1.5, 1.5 * vectors / lengths, vectors)
        if step < 20:
            vectors = vectors - 15 * (1 - step / 20) * pair_slope(vectors, own, others[step])
    return vectors


@pytest.mark.rules("maxmf-R17", "maxmf-R20", "maxmf-R21", "maxmf-R22")
@given(rng=strategies.generators(), padding=st.integers(0, 3))
def test_the_fit_is_twenty_steps_down_the_slope(rng, padding):
    items, own = rng.standard_normal((12, 3)), np.array([1, 4, 5, 9])
    fitted = foldin.fit_user_vectors(users_of(items, own, padding), 3)[0]
    expected = plainly(items[own], [np.delete(items, own, axis=0)] * 20, 3)
    assert_close(fitted, expected, atol=0)
    assert (np.linalg.norm(fitted, axis=1) <= 1.5 * (1 + same_math(np.float64))).all()


@pytest.mark.rules("maxmf-R20", "maxmf-R21", "maxmf-R22", "maxmf-R24")
def test_behaviours_are_compared_with_the_items_drawn_and_no_others():
    w = crowd(np.random.default_rng(0), 520, 21, 20, seed=3)
    drawn, items, (vectors, active) = foldin.comparison_items(3, 520), w.params.items, served(w)
    for b in (1, 3, 4, 9, 20):  # b behaviours
        own = np.unique(w.histories.items[b][w.histories.mask[b]])
        expected = plainly(items[own], [items[np.setdiff1d(x, own)] for x in drawn], 4)
        assert_close(vectors[b][active[b]], expected, atol=same_math(np.float64))


@pytest.mark.rules("maxmf-R24")
def test_the_items_compared_are_a_draw_from_the_seed():
    whole = foldin.comparison_items(5, 512)
    assert whole.tolist() == [list(range(512))] * 20, "every item of a small catalogue"
    drawn = foldin.comparison_items(5, 9_000)
    order = sorted(range(9_000), key=[mixed(mixed(5) ^ i) for i in range(9_000)].__getitem__)
    for step, row in enumerate(drawn):
        first = 512 * step
        assert row.tolist() == sorted((order + order)[first : first + 512])
    other_seed = foldin.comparison_items(6, 9_000)[0]
    assert len(np.intersect1d(drawn[0], other_seed)) < 60, "another seed draws other items"
    with pytest.raises(ValueError, match="read-only"):
        drawn[0] = 1


@pytest.mark.rules("maxmf-R23")
@pytest.mark.parametrize("item", [-1, 6])
def test_an_item_outside_the_catalogue_raises(item):
    w = maxmf_world(np.random.default_rng(0), (1, 4, 2, 3))
    with pytest.raises(ShapeError, match="items: rows: expected indices from 0 to 5"):
        served(w.with_shared(histories=histories_of([[0, item]], [[True, True]])))
    served(w.with_shared(histories=histories_of([[0, item]], [[True, False]])))
