"""A synthetic film club: the log of the built-in model of the study.

Sixty films on six shelves, with titles of `mindref.data.synthetic`. A member likes one to
four shelves; the choice depends on the age of the member. The member watches several films of a
shelf before the next shelf, watches no film twice, and sometimes watches a film of another shelf.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.data.log import Feature, Floats, InteractionLog, Ints, Ragged
from mindref.data.synthetic import AGE_BANDS, SHELVES, TOPICS

GROUPS, PER_GROUP = 6, 10
INTERESTS = (0.1, 0.35, 0.35, 0.2)  # share of members with 1, 2, 3, 4 shelves
MIN_FILMS, MAX_FILMS = 4, 7  # films that a member sees of a shelf
STAY = 0.4  # chance that the next film is of the same shelf
STRAY = 0.04  # share of films of other shelves


def film_club(seed: int = 0, members: int = 300) -> tuple[Ragged, Ints]:
    """Draw the films of each member, oldest first, and the age band of each (U,)."""
    rng = np.random.default_rng(seed)
    taste = np.asarray(np.exp(rng.normal(0.0, 0.7, (len(AGE_BANDS), GROUPS))))
    appeal = rng.normal(0.0, 0.5, GROUPS * PER_GROUP)
    club = [draw_member(rng, taste, appeal) for _ in range(members)]
    ages, films = zip(*club, strict=True)
    return Ragged.of(list(films)), np.array(ages)


def make_film_log(events: Ragged, ages: Ints) -> InteractionLog:
    """Return the log of the club: titles, the shelf of each film, the age band of each member."""
    shelves = [s.name for s in SHELVES[:GROUPS]]
    films = range(GROUPS * PER_GROUP)
    return InteractionLog(
        interactions=events,
        times=None,
        user_ids=[f"member-{u + 1:03}" for u in range(len(ages))],
        item_ids=[f"film-{i + 1:02}" for i in films],
        titles=[film_title(i) for i in films],
        item_features=[
            single_value_feature("shelf", shelves, np.array([i // PER_GROUP for i in films]))
        ],
        user_features=[single_value_feature("age", AGE_BANDS, ages)],
    )


def film_title(film: int) -> str:
    """Return the title of a film; the topics of a shelf alternate."""
    shelf, position = divmod(film, PER_GROUP)
    number, topic = divmod(position, TOPICS)
    return SHELVES[shelf].title(topic, number)


def single_value_feature(name: str, values: Sequence[str], codes: Ints) -> Feature:
    """Return a feature with one value per user or item."""
    return Feature(name, values, Ragged(np.arange(len(codes) + 1), codes))


def draw_member(rng: np.random.Generator, taste: Floats, appeal: Floats) -> tuple[int, Ints]:
    """Draw the age of a member and the films of the member, in order."""
    age = int(rng.integers(len(AGE_BANDS)))
    count = 1 + int(rng.choice(len(INTERESTS), p=INTERESTS))
    chance = taste[age] / taste[age].sum()
    shelves = rng.choice(GROUPS, count, replace=False, p=chance)
    # sorting by log weight plus Gumbel noise is drawing without replacement by weight
    order = np.argsort(-(appeal + rng.gumbel(size=len(appeal))))
    queues = [
        order[order // PER_GROUP == k][: rng.integers(MIN_FILMS, MAX_FILMS + 1)] for k in shelves
    ]
    other_films = order[~np.isin(order // PER_GROUP, shelves)][::-1]
    films = draw_films(
        rng, [rng.permutation(queue).tolist() for queue in queues], other_films.tolist()
    )
    return age, np.array(films)


def draw_films(
    rng: np.random.Generator, queues: list[list[int]], other_films: list[int]
) -> list[int]:
    """Return the films of the queues in random order of the queues, with films of other shelves."""
    films: list[int] = []
    now: list[int] = []
    while any(queues):
        if rng.random() < STRAY:
            films.append(other_films.pop())
            continue
        if not now or rng.random() >= STAY:
            left = [queue for queue in queues if queue]
            now = left[int(rng.integers(len(left)))]
        films.append(now.pop())
    return films
