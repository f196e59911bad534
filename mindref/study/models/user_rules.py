"""The rules that choose a user.

Every rule uses users with at least three behaviours; ties go to the first user of the log. Measures
use the behaviours before the last behaviour, as `sample_pair` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints, Ragged
from mindref.data.rng import make_rng
from mindref.errors import DataError, say
from mindref.evaluation.interest_statistics import mean_cosine
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, compute_interests, item_matrix
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    from mindref.study.models.study_model import StudyModel

MIN_BEHAVIOURS = 3  # behaviours: two for routing and one target
MAX_MEASURED_USERS = 10_000  # measured users; a larger log is sampled
BLOCK_USERS = 128  # users per block
TOP = 10  # a target beyond this rank counts as missed


class ChosenUser(NamedTuple):
    """A user, and a text that says how the user was chosen."""

    user: int
    rule: str


def split_last(study_model: StudyModel, users: Ints) -> tuple[Ragged, Ints]:
    """Return the behaviours of users except the last (C rows), and the last (C,), the target."""
    ends = study_model.histories.offsets[users + 1]
    lengths = study_model.histories.lengths[users]
    history = study_model.histories.slice(users, np.zeros_like(lengths), lengths - 1)
    return history, study_model.histories.values[ends - 1]


def history_text(study_model: StudyModel, length: int) -> str:
    """Return the number of films of a user without the target, and how many the model reads."""
    films, window = length - 1, study_model.model.config.window
    text = "1 film and the target" if films == 1 else f"{films} films and the target"
    return text if films <= window else f"{text}; the model sees the last {window}"


def longest_history(study_model: StudyModel, users: Ints) -> ChosenUser:
    """The longest history."""
    lengths = study_model.histories.lengths[users]
    index = int(np.argmax(lengths))
    text = f"the longest history of all: {history_text(study_model, lengths[index])}"
    return ChosenUser(int(users[index]), text)


def median_history(study_model: StudyModel, users: Ints) -> ChosenUser:
    """A history of median length."""
    lengths = study_model.histories.lengths[users]
    middle = np.sort(lengths)[(len(lengths) - 1) // 2]
    index = int(np.argmax(lengths == middle))
    text = f"the first with a history of the median length: {history_text(study_model, middle)}"
    return ChosenUser(int(users[index]), text)


def most_separated(study_model: StudyModel, users: Ints) -> ChosenUser:
    """The most separated interests: the lowest mean cosine between them."""
    return choose_by_separation(study_model, users, "most", np.argmin)


def least_separated(study_model: StudyModel, users: Ints) -> ChosenUser:
    """The least separated interests: the highest mean cosine between them."""
    return choose_by_separation(study_model, users, "least", np.argmax)


def choose_by_separation(
    study_model: StudyModel, users: Ints, word: str, choose: Callable[[Floats], np.intp]
) -> ChosenUser:
    """Return the user whose mean cosine between interests `choose` selects."""
    users, cosines, scope = measure_separation(study_model, users)
    index = int(choose(cosines))
    text = f"the {word} separated interests {scope}: mean cosine {cosines[index]:.3f}"
    return ChosenUser(int(users[index]), text)


def missed_target(study_model: StudyModel, users: Ints) -> ChosenUser:
    """A missed target: the next film is not among the ten best unseen films."""
    users, scope = sample_users(study_model, users)
    items = item_matrix(study_model.model)
    servable = ServableItems.of(study_model.model.catalogue)
    for first in range(0, len(users), BLOCK_USERS):
        block = users[first : first + BLOCK_USERS]
        places = target_ranks(study_model, block, items)
        missed = places >= TOP
        if missed.any():
            index = int(np.argmax(missed))
            text = (
                f"the first {scope} whose target is not among the {TOP} best unseen films:"
                f" its rank is {places[index] + 1} of {len(servable.ids)}"
            )
            return ChosenUser(int(block[index]), text)
    raise DataError(say("rule wrong", "a user whose target is missed", f"none {scope}"))


RULES: dict[str, Callable[[StudyModel, Ints], ChosenUser]] = {
    "median": median_history,
    "longest": longest_history,
    "most-separated": most_separated,
    "least-separated": least_separated,
    "wrong": missed_target,
}

SHORT_NAMES = {
    "median": "history of median length",
    "longest": "longest history",
    "most-separated": "most separated interests",
    "least-separated": "least separated interests",
    "wrong": "missed target",
}
"""The rules in menus."""


def sample_users(study_model: StudyModel, users: Ints) -> tuple[Ints, str]:
    """Return at most `MAX_MEASURED_USERS` users in the order of the log, and a text about them."""
    if len(users) <= MAX_MEASURED_USERS:
        return users, f"of {len(users)} users"
    order = make_rng(study_model.model.config.seed, "study").permutation(len(users))
    return users[
        np.sort(order[:MAX_MEASURED_USERS])
    ], f"of {MAX_MEASURED_USERS} users, drawn from {len(users)}"


def user_interests(study_model: StudyModel, users: Ints) -> Interests:
    """Return the interests of users from all behaviours before the last."""
    history, _ = split_last(study_model, users)
    return compute_interests(study_model.model, history, study_model.profiles[users])


def measure_separation(study_model: StudyModel, users: Ints) -> tuple[Ints, Floats, str]:
    """Return the users with the most interests, the mean cosine between interests, and a text.

    Users with fewer interests are excluded, because two interests have a low cosine more easily.
    """
    users, scope = sample_users(study_model, users)
    vectors, active, *_ = user_interests(study_model, users)
    count = int(active.sum(axis=1).max())
    if count < 2:
        raise DataError(say("separation", "a user with two interests", "one each"))
    full = active.sum(axis=1) == count
    cosines = mean_cosine(vectors[full], active[full])
    return users[full], cosines, f"of {full.sum()} users with {count} interests, {scope}"


def item_scores(products: Array, active: Bools, rule: str) -> Array:
    """Return the score of each item (C, N) from its products with interests (C, K, N)."""
    if rule == "sum":
        return np.where(active[..., None], products, 0).sum(axis=1)
    return np.where(active[..., None], products, -np.inf).max(axis=1)


def target_ranks(study_model: StudyModel, users: Ints, items: Array) -> Ints:
    """Return the rank (C,), from 0, of the last behaviour among the items not seen before."""
    history, target = split_last(study_model, users)
    vectors, active, *_ = user_interests(study_model, users)
    scores = item_scores(vectors @ items.T, active, study_model.model.config.score)
    target_score = np.take_along_axis(scores, target[:, None], axis=1)
    lower_id = np.arange(len(items)) < target[:, None]
    before = (scores > target_score) | ((scores == target_score) & lower_id)
    before &= ServableItems.of(study_model.model.catalogue).is_servable
    before[np.repeat(np.arange(len(history)), history.lengths), history.values] = False
    return before.sum(axis=1)
