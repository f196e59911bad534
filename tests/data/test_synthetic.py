from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.examples import count_items
from mindref.data.readers import read_log
from mindref.data.splits import split_leave_last_out
from mindref.data.synthetic import LOYALTY, SHELVES, TOPICS, make_synthetic_log
from mindref.errors import ConfigError
from tests.data.reading import plain
from tests.runs import write_shop


@cache
def made():
    return make_synthetic_log(seed=3, users=400)


def listed(array):
    return list(array.tolist())


@pytest.mark.rules("data-R59")
def test_the_same_arguments_give_the_same_bytes():
    first, second, other = (make_synthetic_log(seed, users=20, items=200) for seed in (1, 1, 2))
    assert plain(first) == plain(second)
    assert plain(first.log.interactions) != plain(other.log.interactions)


@pytest.mark.rules("data-R60")
def test_titles_are_unique_and_the_shelf_is_the_true_interest():
    log = (shop := made()).log
    assert len(set(log.titles)) == len(log.titles) == len(set(log.item_ids)) > 900
    shelf = log.item_features[0]
    assert (shelf.name, list(shelf.values)) == ("shelf", [s.name for s in SHELVES])
    assert listed(shelf.codes.values) == listed(shop.item_shelf)
    for title, k, topic in zip(log.titles, shop.item_shelf, shop.item_topic, strict=True):
        openings = SHELVES[k].openings.split(", ")[2 * topic : 2 * topic + 2]
        assert any(opening in title for opening in openings), (title, k, topic)


@pytest.mark.rules("data-R60")
def test_there_are_titles_for_any_number_of_items():
    titles = [s.title(topic, i) for s in SHELVES for topic in range(TOPICS) for i in range(40)]
    assert len(set(titles)) == len(titles)
    for shelf in SHELVES:
        for words in (shelf.openings, shelf.endings):
            assert len(set(words.split(", "))) == 8, shelf.name
        assert shelf.openings.count(",") == 2 * TOPICS - 1


@pytest.mark.rules("data-R61")
def test_no_user_repeats_an_item_and_times_increase():
    log = made().log
    for u in range(len(log.user_ids)):
        row = listed(log.interactions.row(u))
        assert len(set(row)) == len(row) > 0
        times = log.times[log.interactions.offsets[u] : log.interactions.offsets[u + 1]]
        assert (np.diff(times) > 0).all()


@pytest.mark.rules("data-R62")
def test_an_interaction_is_labelled_with_its_shelf_or_minus_one():
    shop = made()
    assert listed(shop.true_interests.offsets) == listed(shop.log.interactions.offsets)
    for u in range(len(shop.true_interests)):
        shelves = shop.item_shelf[shop.log.interactions.row(u)]
        own = np.isin(shelves, shop.user_interests.row(u))
        assert listed(shop.true_interests.row(u)) == listed(np.where(own, shelves, -1))
    assert 0.02 < np.mean(shop.true_interests.values < 0) < 0.1


@pytest.mark.rules("data-R63", "data-R64")
def test_a_user_has_one_to_six_different_interests_and_a_few_items_have_many_interactions():
    interests = made().user_interests
    assert set(interests.lengths.tolist()) == {1, 2, 3, 4, 5, 6}
    for u in range(len(interests)):
        assert len(set(interests.row(u).tolist())) == interests.lengths[u]
    assert made().user_weights.shape == interests.values.shape == made().user_topics.values.shape
    counts = np.sort(np.bincount(made().log.interactions.values))[::-1]
    assert counts[:100].sum() > 0.25 * counts.sum()


@pytest.mark.rules("data-R65")
def test_true_interests_predict_much_better_than_popularity():
    shop = made()
    split = split_leave_last_out(shop.log)
    popularity = count_items(split.train, len(shop.item_shelf)).astype(np.float64)
    planted, popular = 0, 0
    for c, user in enumerate(split.test.users):
        seen, target = split.test.histories.row(c), split.test.targets.row(c)[0]
        planted += is_hit(planted_scores(shop, user, seen), seen, target)
        popular += is_hit(popularity, seen, target)
    assert planted >= 0.5 * len(split.test.users)
    assert planted >= 10 * popular


def planted_scores(shop, user, seen):
    """The probability of each next item, from the true interests and the history."""
    scores = np.zeros(len(shop.item_shelf))
    start = shop.user_interests.offsets[user]
    for k, interest in enumerate(shop.user_interests.row(user)):
        favourite = shop.item_topic == shop.user_topics.values[start + k]
        chance = shop.item_appeal * np.where(favourite, LOYALTY, 1.0)
        chance[shop.item_shelf != interest] = 0
        chance[seen] = 0
        scores += shop.user_weights[start + k] * chance / max(chance.sum(), 1e-9)
    return scores


def is_hit(scores, seen, target, top=10):
    left = scores.copy()
    left[seen] = -1
    return bool((left > left[target]).sum() < top)


@pytest.mark.rules("data-R67")
def test_reading_the_written_files_gives_the_same_log(tmp_path):
    write_shop(tmp_path, users=5, items=96)
    log, read = make_synthetic_log(users=5, items=96).log, read_log(tmp_path)
    for name in ("interactions", "times", "user_ids", "item_ids", "titles"):
        assert plain(getattr(read, name)) == plain(getattr(log, name)), name
    for features in ("item_features", "user_features"):
        (ours,), (theirs,) = getattr(log, features), getattr(read, features)
        assert (theirs.name, words(theirs)) == (ours.name, words(ours))


def words(feature):
    return [feature.values[code] for code in feature.codes.values]


@pytest.mark.rules("data-R66")
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(96, 300))
def test_any_size_gives_a_complete_log_without_unused_items(seed, users, items):
    shop = make_synthetic_log(seed, users, items)
    assert len(shop.log.user_ids) == len(shop.log.interactions) == len(shop.user_interests) == users
    first = list(dict.fromkeys(shop.log.interactions.values.tolist()))
    assert first == list(range(len(shop.log.item_ids)))
    assert len(first) == len(shop.item_shelf) == len(shop.item_appeal) <= items
    assert (shop.log.interactions.lengths > 0).all()


def test_too_few_items_or_users_are_refused():
    with pytest.raises(ConfigError, match="at least 96 items"):
        make_synthetic_log(items=95)
    with pytest.raises(ConfigError, match="one user"):
        make_synthetic_log(users=0)
