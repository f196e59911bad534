"""The rules by which a user is chosen to be looked at. No hand-picked heroes.

Every rule looks at users with at least three behaviours, and of equals takes the first of the log.
What is measured is measured on the behaviours before the last one, as `pair` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.data.splits import slices
from mindref.data.streams import stream
from mindref.errors import DataError, say
from mindref.evaluation.interest_statistics import similarity
from mindref.models.serving import Interests, interests, item_matrix
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    from mindref.study.worlds.world import World

LEAST = 3  # behaviours: two to route and one to ask for
MOST = 10_000  # users that a rule measures; of more, so many are drawn
BLOCK = 128  # users ranked at a time
TOP = 10  # a target beyond these is one the model gets wrong


class Chosen(NamedTuple):
    """A user, and the rule that chose the user, with its numbers."""

    user: int
    rule: str


def before_last(world: World, users: Ints) -> tuple[Ragged, Ints]:
    """Return all behaviours of users but the last (C rows), and the last (C,): what is asked."""
    ends = world.histories.offsets[users + 1]
    lengths = world.histories.lengths[users]
    known = slices(world.histories, users, np.zeros_like(lengths), lengths - 1)
    return known, world.histories.values[ends - 1]


def longest(world: World, users: Ints) -> Chosen:
    """The longest history."""
    lengths = world.histories.lengths[users]
    at = int(np.argmax(lengths))
    return Chosen(int(users[at]), f"the longest history of all, {lengths[at]} behaviours")


def median(world: World, users: Ints) -> Chosen:
    """A history of median length."""
    lengths = world.histories.lengths[users]
    middle = np.sort(lengths)[(len(lengths) - 1) // 2]
    at = int(np.argmax(lengths == middle))
    text = f"the first with a history of the median length, {middle} behaviours"
    return Chosen(int(users[at]), text)


def most_separated(world: World, users: Ints) -> Chosen:
    """The most separated interests: the lowest mean cosine between them."""
    users, cosines, scope = measured(world, users)
    at = int(np.argmin(cosines))
    text = f"the most separated interests {scope}: mean cosine {cosines[at]:.3f}"
    return Chosen(int(users[at]), text)


def least_separated(world: World, users: Ints) -> Chosen:
    """The least separated interests: the highest mean cosine between them."""
    users, cosines, scope = measured(world, users)
    at = int(np.argmax(cosines))
    text = f"the least separated interests {scope}: mean cosine {cosines[at]:.3f}"
    return Chosen(int(users[at]), text)


def wrong(world: World, users: Ints) -> Chosen:
    """One the model gets wrong: the next behaviour is not among the ten best unseen items."""
    users, scope = some(world, users)
    items = item_matrix(world.model)
    for first in range(0, len(users), BLOCK):
        block = users[first : first + BLOCK]
        places = ranks(world, block, items)
        missed = places >= TOP
        if missed.any():
            at = int(np.argmax(missed))
            text = (
                f"the first {scope} whose next behaviour is not among the {TOP} best unseen items:"
                f" it is at place {places[at] + 1} of {len(items)}"
            )
            return Chosen(int(block[at]), text)
    raise DataError(say("rule wrong", "a user whose next behaviour is missed", f"none {scope}"))


RULES: dict[str, Callable[[World, Ints], Chosen]] = {
    "median": median,
    "longest": longest,
    "most-separated": most_separated,
    "least-separated": least_separated,
    "wrong": wrong,
}


def some(world: World, users: Ints) -> tuple[Ints, str]:
    """Return at most `MOST` users, drawn by the seed, in the order of the log; and a word on it."""
    if len(users) <= MOST:
        return users, f"of {len(users)} users"
    drawn = stream(world.model.config.seed, "study").permutation(len(users))[:MOST]
    return users[np.sort(drawn)], f"of {MOST} users, drawn from {len(users)}"


def served(world: World, users: Ints) -> Interests:
    """Return the interests of users from all behaviours before the last."""
    known, _ = before_last(world, users)
    return interests(world.model, known, world.profiles[users])


def measured(world: World, users: Ints) -> tuple[Ints, Floats, str]:
    """Return the users with the most interests, the mean cosine between them, and a word.

    Users with as many interests as anybody: two are far apart more easily than four.
    """
    users, scope = some(world, users)
    vectors, active, *_ = served(world, users)
    count = int(active.sum(axis=1).max())
    if count < 2:
        raise DataError(say("separation", "a user with two interests", "one each"))
    full = active.sum(axis=1) == count
    cosines = similarity(vectors[full], active[full])
    return users[full], cosines, f"of those {full.sum()} that have {count}, {scope}"


def scores(products: Array, active: Bools, rule: str) -> Array:
    """Return the score of each item (C, N) from its products with interests (C, K, N)."""
    if rule == "sum":
        return np.where(active[..., None], products, 0).sum(axis=1)
    return np.where(active[..., None], products, -np.inf).max(axis=1)


def ranks(world: World, users: Ints, items: Array) -> Ints:
    """Return the place (C,), from 0, of the last behaviour among the items not seen before it."""
    known, target = before_last(world, users)
    vectors, active, *_ = served(world, users)
    found = scores(vectors @ items.T, active, world.model.config.score)
    own = np.take_along_axis(found, target[:, None], axis=1)
    before = (found > own) | ((found == own) & (np.arange(len(items)) < target[:, None]))
    before[np.repeat(np.arange(len(known)), known.lengths), known.values] = False
    return before.sum(axis=1)
