"""Controls of the case study: is the heat map of coupling weights a property of the user?

The paper has no controls. This module adds redrawn initial logits, random histories (behaviours of
all users) and the same history in another order. The measures are defined in specs/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints
from mindref.data.rng import make_rng
from mindref.evaluation.interest_statistics import (
    adjusted_rand,
    contingency,
    coupling_shares,
    effective_number,
    mean_cosine,
)
from mindref.models.logits import draw_logits
from mindref.models.mind import Histories
from mindref.models.serving import serving_logits, with_couplings
from mindref.shapes import Array
from mindref.study.models.study_model import StudyModel

DRAWS = 20  # draws of each random control


@dataclass(frozen=True)
class RoutingMeasures:
    """Four measures of a routing result; means over several draws."""

    largest: float  # mean of the largest coupling weight of a behaviour, 1 / K' to 1
    effective_number: float  # exp of the entropy of the shares of the interests, 1 to K'
    similarity: float | None  # mean cosine between interests; None for a single interest
    purity: float | None  # see `group_purity`; None without groups


@dataclass(frozen=True)
class Controls:
    """The measures of a user and of the controls."""

    user: RoutingMeasures
    redrawn: RoutingMeasures  # the same history, new initial logits
    grouping: float  # mean adjusted Rand index of the groupings with new logits and this one
    lowest_grouping: float  # minimum of these indices
    match: float  # mean cosine of an interest with the assigned interest after a redraw
    random_history: RoutingMeasures  # as many items, drawn by popularity from the log
    reordered: float  # largest change of a coupling weight if the order changes
    draws: int


class RoutedHistories(NamedTuple):
    """Routing results of histories of one length; inactive interests are removed."""

    history: Ints  # (C, n)
    couplings: Array  # (C, n, K') of the last iteration
    vectors: Array  # (C, K', D)


def route_histories(
    study_model: StudyModel, history: Ints, profile: Ints, logits: Array | None = None
) -> RoutedHistories:
    """Route histories (C, n) of a user with this profile (G,), as in serving."""
    config = study_model.model.config
    if logits is None:
        logits = serving_logits(config, len(study_model.item_ids), history)
    everywhere = np.ones(history.shape, bool)
    profiles = np.tile(profile, (len(history), 1))
    histories = Histories(history, everywhere, logits, profiles)
    vectors, active, couplings = with_couplings(study_model.model, histories, None)
    assert couplings is not None  # the study model routes
    count = int(active[0].sum())
    return RoutedHistories(history, couplings[:, :, :count], vectors[:, :count])


def compute_controls(study_model: StudyModel, user: int, history: Ints) -> Controls:
    """Return the controls of a user with this history (n,). Random by (seed, user)."""
    profile, users = study_model.profiles[user], len(study_model.user_ids)
    user_routing = route_histories(study_model, history[None], profile)
    seed, config = study_model.model.config.seed, study_model.model.config
    rng = make_rng(seed, "study", users + user)  # smaller indices are used by the negatives
    again = np.tile(history, (DRAWS, 1))
    logits = draw_logits(rng, (*again.shape, config.interests), config.sigma, config.dtype)
    redrawn = route_histories(study_model, again, profile, logits)
    groupings = grouping_similarity(user_routing, redrawn)
    mixed = np.stack([random_behaviours(study_model, rng, len(history)) for _ in range(DRAWS)])
    order = rng.permutation(len(history))
    other = route_histories(study_model, history[order][None], profile)
    return Controls(
        user=measure_routing(study_model, user_routing),
        redrawn=measure_routing(study_model, redrawn),
        grouping=float(groupings.mean()),
        lowest_grouping=float(groupings.min()),
        match=matched_cosine(user_routing, redrawn),
        random_history=measure_routing(study_model, route_histories(study_model, mixed, profile)),
        reordered=float(abs(other.couplings - user_routing.couplings[:, order]).max()),
        draws=DRAWS,
    )


def random_behaviours(study_model: StudyModel, rng: np.random.Generator, size: int) -> Ints:
    """Return distinct random items, drawn by their frequency in the log."""
    times = np.bincount(study_model.histories.values, minlength=len(study_model.item_ids))
    few = np.count_nonzero(times) < size
    return rng.choice(len(times), size, replace=bool(few), p=times / times.sum())


def measure_routing(study_model: StudyModel, routed: RoutedHistories) -> RoutingMeasures:
    """Return the measures of routed histories, means over the histories."""
    history, couplings, vectors = routed
    everywhere = np.ones(history.shape, bool)
    several = couplings.shape[2] > 1
    cosines = mean_cosine(vectors, np.ones(vectors.shape[:2], bool)) if several else None
    return RoutingMeasures(
        largest=float(couplings.max(axis=2).mean()),
        effective_number=float(effective_number(coupling_shares(couplings, everywhere)).mean()),
        similarity=None if cosines is None else float(cosines.mean()),
        purity=None
        if study_model.groups is None
        else group_purity(routed, study_model.groups.of_item),
    )


def group_purity(routed: RoutedHistories, of_item: Ints) -> float:
    """Return the share of behaviours in the most frequent group of their interest."""
    labels, owners = of_item[routed.history], routed.couplings.argmax(axis=2)
    sizes = (routed.couplings.shape[2], int(of_item.max()) + 1)
    table = contingency(owners, labels, np.ones(labels.shape, bool), sizes)
    return float(table.max(axis=2).sum(axis=1).mean() / labels.shape[1])


def grouping_similarity(user_routing: RoutedHistories, redrawn_histories: RoutedHistories) -> Array:
    """Return the adjusted Rand index (C,) between the groupings of the same behaviours."""
    first = np.tile(user_routing.couplings.argmax(axis=2), (len(redrawn_histories.history), 1))
    second, count = redrawn_histories.couplings.argmax(axis=2), user_routing.couplings.shape[2]
    table = contingency(first, second, np.ones(first.shape, bool), (count, count))
    return adjusted_rand(table)


def matched_cosine(user_routing: RoutedHistories, redrawn_histories: RoutedHistories) -> float:
    """Return the mean cosine of interests under the best one-to-one assignment of each draw."""
    from scipy.optimize import linear_sum_assignment

    cosines = unit_vectors(user_routing.vectors) @ unit_vectors(
        redrawn_histories.vectors
    ).transpose(0, 2, 1)
    return float(np.mean([each[linear_sum_assignment(-each)].mean() for each in cosines]))


def unit_vectors(vectors: Array) -> Array:
    """Return vectors (..., D) normalised to length one; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
