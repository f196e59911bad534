"""A built-in log with planted interests (specs/data.md, Synthetic).

Users of an imaginary shop have one to six shelves they care about, and on each shelf a favourite
topic. They stay with an interest for a while, switch, and now and then take something else. Every
event is labelled with the shelf it came from, so that what a model finds can be scored.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Feature, Floats, InteractionLog, Ints, Ragged
from mindref.data.shelves import SHELVES, TOPICS
from mindref.errors import ConfigError, say

AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
INTERESTS = np.array([0.05, 0.15, 0.25, 0.25, 0.2, 0.1])  # share of users with 1, 2, ... 6
DAY = 86_400.0
FIRST_DAY = 1_704_067_200.0  # 2024-01-01 UTC


class Synthetic(NamedTuple):
    """The log and what was planted in it. A shelf's number is its place in `SHELVES`."""

    log: InteractionLog
    planted: Ragged  # beside log.events: the shelf of each event, -1 for a passing fancy
    user_interests: Ragged  # (U rows) the shelves each user cares about
    user_topics: Ragged  # (U rows) beside user_interests: the favourite topic on that shelf
    user_weights: Floats  # beside user_interests.values: how often the user turns to that shelf
    item_shelf: Ints  # (N,)
    item_topic: Ints  # (N,) 0 .. 3 within the shelf
    item_appeal: Floats  # (N,) popularity within the shelf


class Habits(NamedTuple):
    """How users behave; the defaults make the task hard for one vector and fair for several."""

    noise: float = 0.05  # share of events outside the user's interests
    stay: float = 0.3  # chance that an event stays with the interest of the one before
    loyalty: float = 100.0  # how much likelier an item of the favourite topic is
    evenness: float = 20.0  # Dirichlet parameter of the weights of a user's interests
    crowding: float = 0.7  # Zipf exponent of the shelves
    skew: float = 1.0  # Zipf exponent of the items of a shelf
    length: float = 6.0  # events per interest, on average


def synthetic(
    seed: int = 0, users: int = 2000, items: int = 1000, habits: Habits | None = None
) -> Synthetic:
    """Make the log: the same arguments give the same arrays.

    Spec: data. `items` at least 96 (one for each topic of each shelf), `users` at least 1; an item
    that nobody took is not in the catalogue. Nobody takes an item twice.
    Errors: `ConfigError` for smaller numbers.
    """
    if items < len(SHELVES) * TOPICS or users < 1:
        expected = f"at least {len(SHELVES) * TOPICS} items and one user"
        raise ConfigError(say("synthetic", expected, f"{items} and {users}"))
    rng = np.random.default_rng(seed)  # data-R59
    habits = habits or Habits()
    shop = _open_shop(rng, items, habits)
    customers = [_visit(rng, shop, habits) for _ in range(users)]
    return _record(shop, customers)


def write_log(made: Synthetic, folder: Path, name: str = "shop") -> None:
    """Write the log as RecBole's atomic files `name.inter`, `name.item`, `name.user` (data-R67).

    Spec: data. The folder must exist; files of that name are replaced.
    """
    log = made.log
    users = np.repeat(np.arange(len(log.user_ids)), log.events.lengths).tolist()
    items, times = log.events.values.tolist(), np.asarray(log.times).tolist()
    inter = [
        (log.user_ids[u], log.item_ids[i], f"{t:.0f}")
        for u, i, t in zip(users, items, times, strict=True)
    ]
    item = zip(log.item_ids, log.titles or (), _words(log.item_features[0]), strict=True)
    user = zip(log.user_ids, _words(log.user_features[0]), strict=True)
    _write(folder / f"{name}.inter", ("user_id:token", "item_id:token", "timestamp:float"), inter)
    _write(folder / f"{name}.item", ("item_id:token", "title:token_seq", "shelf:token"), item)
    _write(folder / f"{name}.user", ("user_id:token", "age:token"), user)


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    text = "".join("\t".join(row) + "\n" for row in (header, *rows))
    path.write_text(text, encoding="utf-8", newline="\n")


def _words(feature: Feature) -> list[str]:
    return [feature.values[code] for code in feature.codes.values]


class _Shop(NamedTuple):
    shelf: Ints  # (N,)
    topic: Ints  # (N,)
    appeal: Floats  # (N,)
    taste: Floats  # (age bands, shelves) chance that a user of that age cares


class _Customer(NamedTuple):
    interests: Ints
    topics: Ints
    weights: Floats
    items: Ints
    planted: Ints
    times: Floats
    age: int


def _open_shop(rng: np.random.Generator, items: int, habits: Habits) -> _Shop:
    number = np.arange(items)
    shelf, topic = number % len(SHELVES), number // len(SHELVES) % TOPICS
    place = np.empty(items, dtype=np.int64)  # 0 is the most popular of its shelf, of any topic
    for k in range(len(SHELVES)):
        place[shelf == k] = rng.permutation(np.count_nonzero(shelf == k))
    taste = rng.normal(0.0, 0.5, (len(AGE_BANDS), len(SHELVES)))
    crowd = rng.permutation(np.arange(1.0, len(SHELVES) + 1) ** -habits.crowding)
    chance = np.asarray(crowd * np.exp(taste))
    appeal = np.asarray((1.0 + place) ** -habits.skew)  # data-R64
    return _Shop(shelf, topic, appeal, chance / chance.sum(axis=1, keepdims=True))


def _visit(rng: np.random.Generator, shop: _Shop, habits: Habits) -> _Customer:
    age = int(rng.integers(len(AGE_BANDS)))
    count = 1 + int(rng.choice(len(INTERESTS), p=INTERESTS))
    interests = rng.choice(len(SHELVES), count, replace=False, p=shop.taste[age])  # data-R63
    topics = rng.integers(TOPICS, size=count)
    weights = rng.dirichlet(np.full(count, habits.evenness))
    size = max(8, round(habits.length * count * rng.lognormal(0.0, 0.3)))
    which = _wander(rng, weights, size, habits)
    items = np.full(size, -1)
    for k in range(-1, count):
        at = np.flatnonzero(which == k)
        pool = _pool(rng, shop, interests, topics, k, habits)[: len(at)]  # data-R61
        items[at[: len(pool)]] = pool
    kept = items >= 0
    times = _clock(rng, size)
    planted = np.where(which < 0, -1, interests[which])  # data-R62
    return _Customer(interests, topics, weights, items[kept], planted[kept], times[kept], age)


def _wander(rng: np.random.Generator, weights: Floats, size: int, habits: Habits) -> Ints:
    """Return for each event the interest (0 ..) it comes from, -1 for a passing fancy."""
    drawn = rng.choice(len(weights), size, p=weights)
    switch = rng.random(size) >= habits.stay
    switch[0] = True
    since = np.maximum.accumulate(np.where(switch, np.arange(size), 0))
    return np.where(rng.random(size) < habits.noise, -1, drawn[since])


def _pool(
    rng: np.random.Generator, shop: _Shop, interests: Ints, topics: Ints, k: int, habits: Habits
) -> Ints:
    """Return the items of interest k (or of no interest) in the order in which they are taken.

    Sorting by log weight plus Gumbel noise is drawing without replacement by weight.
    """
    if k < 0:
        pool = np.flatnonzero(~np.isin(shop.shelf, interests))
        weight = shop.appeal[pool]
    else:
        pool = np.flatnonzero(shop.shelf == interests[k])
        favourite = shop.topic[pool] == topics[k]
        weight = shop.appeal[pool] * np.where(favourite, habits.loyalty, 1.0)  # data-R65
    order = np.argsort(-(np.log(weight) + rng.gumbel(size=len(pool))))
    return pool[order][: max(1, len(pool) // 2)]  # nobody buys a shelf empty


def _clock(rng: np.random.Generator, size: int) -> Floats:
    """Return rising times in whole seconds within about two years."""
    start = FIRST_DAY + rng.uniform(0, 540) * DAY
    gaps = 60.0 + rng.exponential(3 * DAY, size)
    return np.asarray(np.floor(start + np.cumsum(gaps)))


def _record(shop: _Shop, customers: list[_Customer]) -> Synthetic:
    """Number the items by first appearance, as a reader would, and put the log together."""
    taken = np.concatenate([c.items for c in customers])
    numbers, first = np.unique(taken, return_index=True)
    order = numbers[np.argsort(first)]  # dense id -> number in the shop, data-R66
    dense = np.full(len(shop.shelf), -1)
    dense[order] = np.arange(len(order))
    shelf, topic = shop.shelf[order], shop.topic[order]
    log = InteractionLog(
        events=Ragged.of([dense[c.items] for c in customers]),
        times=np.concatenate([c.times for c in customers]),
        user_ids=[f"customer-{u + 1:04}" for u in range(len(customers))],
        item_ids=[f"article-{i + 1:04}" for i in order],
        titles=[_title(int(i)) for i in order],  # data-R60
        item_features=[Feature("shelf", [s.name for s in SHELVES], _one_each(shelf))],
        user_features=[Feature("age", AGE_BANDS, _one_each(np.array([c.age for c in customers])))],
    )
    return Synthetic(
        log,
        Ragged.of([c.planted for c in customers]),
        Ragged.of([c.interests for c in customers]),
        Ragged.of([c.topics for c in customers]),
        np.concatenate([c.weights for c in customers]),
        shelf,
        topic,
        shop.appeal[order],
    )


def _title(number: int) -> str:
    place, shelf = divmod(number, len(SHELVES))
    number_in_topic, topic = divmod(place, TOPICS)
    return SHELVES[shelf].title(topic, number_in_topic)


def _one_each(codes: Ints) -> Ragged:
    return Ragged(np.arange(len(codes) + 1), codes)
