"""A built-in log whose true interests are known (specs/data.md, Synthetic).

Users of an imaginary shop have one to six interests. An interest is a shelf of the shop, with a
favourite topic on it. A user takes several items of one interest, then switches, and sometimes
takes an item of no interest. The shelf of every interaction is known, so that the interests of a
model can be compared with the true ones.

Titles are invented; their words are in `synthetic_titles.tsv`. A shelf has four topics, and a topic
has two openings, so that a reader of a list sees the topics of its items.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from mindref.data.log import Feature, Floats, InteractionLog, Ints, Ragged
from mindref.errors import ConfigError, say

AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
INTEREST_COUNT_PROBABILITIES = np.array([0.05, 0.15, 0.25, 0.25, 0.2, 0.1])  # 1, 2, ... 6
DAY = 86_400.0
FIRST_DAY = 1_704_067_200.0  # 2024-01-01 UTC
# these values make the task hard for one vector per user
NOISE = 0.05  # fraction of interactions outside the user's interests
STAY = 0.3  # probability that an interaction has the interest of the previous one
LOYALTY = 100.0  # factor on the probability of an item of the favourite topic
EVENNESS = 20.0  # Dirichlet parameter of the weights of a user's interests
CROWDING = 0.7  # Zipf exponent of the popularity of shelves
SKEW = 1.0  # Zipf exponent of the popularity of items within a shelf
LENGTH = 6.0  # mean number of interactions per interest
TOPICS = 4  # of each shelf


class Shelf(NamedTuple):
    """A shelf. A title is `pattern` with an opening and an ending."""

    name: str
    pattern: str
    openings: str  # 8, separated by commas, two for each topic
    endings: str  # 8, separated by commas

    def title(self, topic: int, number: int) -> str:
        """Return title `number` of a topic. From the 17th on, titles end in a volume number."""
        openings = self.openings.split(", ")[2 * topic : 2 * topic + 2]
        endings = self.endings.split(", ")
        volume, index = divmod(number, 2 * len(endings))
        # consecutive titles differ in both words
        ending = endings[index % len(endings)]
        title = self.pattern.format(openings[(index + index // len(endings)) % 2], ending)
        return title if volume == 0 else f"{title}, volume {volume + 1}"


TITLES = files("mindref.data").joinpath("synthetic_titles.tsv").read_text(encoding="utf-8")
SHELVES = tuple(Shelf(*line.split("\t")) for line in TITLES.splitlines()[1:])


class SyntheticLog(NamedTuple):
    """The log and its true interests. The number of a shelf is its index in `SHELVES`."""

    log: InteractionLog
    true_interests: Ragged  # shelf of each of log.interactions, -1 outside the user's interests
    user_interests: Ragged  # (U rows) the shelves of each user's interests
    user_topics: Ragged  # (U rows) aligned with user_interests: favourite topic of the shelf
    user_weights: Floats  # aligned with user_interests.values: probability of the interest
    item_shelf: Ints  # (N,)
    item_topic: Ints  # (N,) 0 .. 3 within the shelf
    item_appeal: Floats  # (N,) popularity within the shelf


def make_synthetic_log(seed: int = 0, users: int = 2000, items: int = 1000) -> SyntheticLog:
    """Return the synthetic log. The same arguments give the same arrays.

    Spec: data. `items` is at least 96 (one per topic and shelf), `users` at least 1. Items without
    an interaction are not in the catalogue. A user interacts with an item at most once.
    Errors: `ConfigError` for smaller numbers.
    """
    if items < len(SHELVES) * TOPICS or users < 1:
        expected = f"at least {len(SHELVES) * TOPICS} items and one user"
        raise ConfigError(say("synthetic", expected, f"{items} and {users}"))
    rng = np.random.default_rng(seed)  # data-R59
    shop = _draw_catalogue(rng, items)
    customers = [_draw_user(rng, shop) for _ in range(users)]
    return _join_users(shop, customers)


class _Catalogue(NamedTuple):
    shelf: Ints  # (N,)
    topic: Ints  # (N,)
    appeal: Floats  # (N,)
    taste: Floats  # (age bands, shelves) probability of an interest by age


class _User(NamedTuple):
    interests: Ints
    topics: Ints
    weights: Floats
    items: Ints
    true_interests: Ints
    times: Floats
    age: int


def _draw_catalogue(rng: np.random.Generator, items: int) -> _Catalogue:
    number = np.arange(items)
    shelf, topic = number % len(SHELVES), number // len(SHELVES) % TOPICS
    popularity_rank = np.empty(items, dtype=np.int64)  # within the shelf, from 0
    for k in range(len(SHELVES)):
        popularity_rank[shelf == k] = rng.permutation(np.count_nonzero(shelf == k))
    taste = rng.normal(0.0, 0.5, (len(AGE_BANDS), len(SHELVES)))
    shelf_popularity = rng.permutation(np.arange(1.0, len(SHELVES) + 1) ** -CROWDING)
    weights = np.asarray(shelf_popularity * np.exp(taste))
    appeal = np.asarray((1.0 + popularity_rank) ** -SKEW)  # data-R64
    return _Catalogue(shelf, topic, appeal, weights / weights.sum(axis=1, keepdims=True))


def _draw_user(rng: np.random.Generator, catalogue: _Catalogue) -> _User:
    age = int(rng.integers(len(AGE_BANDS)))
    count = 1 + int(rng.choice(len(INTEREST_COUNT_PROBABILITIES), p=INTEREST_COUNT_PROBABILITIES))
    interests = rng.choice(len(SHELVES), count, replace=False, p=catalogue.taste[age])  # data-R63
    topics = rng.integers(TOPICS, size=count)
    weights = rng.dirichlet(np.full(count, EVENNESS))
    size = max(8, round(LENGTH * count * rng.lognormal(0.0, 0.3)))
    candidates = rng.choice(count, size, p=weights)
    switch = rng.random(size) >= STAY
    switch[0] = True
    last_switch = np.maximum.accumulate(np.where(switch, np.arange(size), 0))
    # interest (0 ..) of each interaction, -1 outside the user's interests
    interest_index = np.where(rng.random(size) < NOISE, -1, candidates[last_switch])
    items = np.full(size, -1)
    for k in range(-1, count):
        positions = np.flatnonzero(interest_index == k)
        pool = _draw_items(rng, catalogue, interests, topics, k)
        pool = pool[: len(positions)]  # data-R61
        items[positions[: len(pool)]] = pool
    is_drawn = items >= 0
    start = FIRST_DAY + rng.uniform(0, 540) * DAY  # whole seconds within about two years
    times = np.floor(start + np.cumsum(60.0 + rng.exponential(3 * DAY, size)))
    true_interests = np.where(interest_index < 0, -1, interests[interest_index])  # data-R62
    return _User(
        interests, topics, weights, items[is_drawn], true_interests[is_drawn], times[is_drawn], age
    )


def _draw_items(
    rng: np.random.Generator, catalogue: _Catalogue, interests: Ints, topics: Ints, k: int
) -> Ints:
    """Return items of interest k (k < 0: of no interest) in the order of the interactions.

    Sorting by log weight plus Gumbel noise draws by weight, without replacement.
    """
    if k < 0:
        pool = np.flatnonzero(~np.isin(catalogue.shelf, interests))
        weight = catalogue.appeal[pool]
    else:
        pool = np.flatnonzero(catalogue.shelf == interests[k])
        favourite = catalogue.topic[pool] == topics[k]
        weight = catalogue.appeal[pool] * np.where(favourite, LOYALTY, 1.0)  # data-R65
    order = np.argsort(-(np.log(weight) + rng.gumbel(size=len(pool))))
    return pool[order][: max(1, len(pool) // 2)]  # at most half of a shelf


def _join_users(catalogue: _Catalogue, users: list[_User]) -> SyntheticLog:
    """Return the log of all users, with items numbered by first appearance, as a reader does."""
    shop_ids = np.concatenate([user.items for user in users])
    numbers, first = np.unique(shop_ids, return_index=True)
    order = numbers[np.argsort(first)]  # dense id -> number in the shop, data-R66
    dense = np.full(len(catalogue.shelf), -1)
    dense[order] = np.arange(len(order))
    shelf, topic = catalogue.shelf[order], catalogue.topic[order]
    log = InteractionLog(
        interactions=Ragged.of([dense[user.items] for user in users]),
        times=np.concatenate([user.times for user in users]),
        user_ids=[f"customer-{u + 1:04}" for u in range(len(users))],
        item_ids=[f"article-{i + 1:04}" for i in order],
        titles=[_item_title(int(i)) for i in order],  # data-R60
        item_features=[Feature("shelf", [s.name for s in SHELVES], _single_codes(shelf))],
        user_features=[
            Feature("age", AGE_BANDS, _single_codes(np.array([user.age for user in users])))
        ],
    )
    return SyntheticLog(
        log,
        Ragged.of([user.true_interests for user in users]),
        Ragged.of([user.interests for user in users]),
        Ragged.of([user.topics for user in users]),
        np.concatenate([user.weights for user in users]),
        shelf,
        topic,
        catalogue.appeal[order],
    )


def _item_title(number: int) -> str:
    shelf_index, shelf = divmod(number, len(SHELVES))
    number_in_topic, topic = divmod(shelf_index, TOPICS)
    return SHELVES[shelf].title(topic, number_in_topic)


def _single_codes(codes: Ints) -> Ragged:
    return Ragged(np.arange(len(codes) + 1), codes)
