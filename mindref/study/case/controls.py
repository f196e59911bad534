"""Is what a heat map of couplings shows a property of the user, or would anything look so?

The controls that the paper's case study leaves out: initial logits drawn again, histories of nobody
(behaviours taken from all users), the same history in another order. Spec: specs/metrics.md for the
measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints
from mindref.data.streams import stream
from mindref.evaluation.interest_statistics import (
    adjusted_rand,
    contingency,
    effective_number,
    shares_of,
    similarity,
)
from mindref.models.logits import drawn
from mindref.models.mind import Histories
from mindref.models.serving import serving_logits, with_couplings
from mindref.shapes import Array
from mindref.study.worlds.world import World

DRAWS = 20  # of each control that is drawn


@dataclass(frozen=True)
class Measures:
    """What a routing came to, in four numbers; means where it is over several draws."""

    largest: float  # the largest coupling of a behaviour: 1 sure, 1 / K' undecided
    used: float  # interests in use, 1 to K': exp of the entropy of their shares
    similarity: float | None  # mean cosine between interests; None for a single one
    purity: float | None  # behaviours of their interest's commonest group; None without groups


@dataclass(frozen=True)
class Controls:
    """The measures of a user beside those of the controls."""

    user: Measures
    redrawn: Measures  # the same history, initial logits drawn again
    grouping: float  # adjusted Rand index of the groupings with those logits and the user's own
    lowest_grouping: float  # the least of them
    match: float  # cosine of each interest with its counterpart after a redraw
    mixed: Measures  # as many behaviours of nobody: drawn by popularity from the whole log
    reordered: float  # the largest change of a coupling in another order: 0, as order is not used
    draws: int


class Routed(NamedTuple):
    """Histories of one length, routed; interests beyond K' are left out."""

    history: Ints  # (C, n)
    couplings: Array  # (C, n, K') of the last round
    vectors: Array  # (C, K', D)


def routed(world: World, history: Ints, profile: Ints, logits: Array | None = None) -> Routed:
    """Return what becomes of histories (C, n) of a user with this profile (G,), as in serving."""
    config = world.model.config
    if logits is None:
        logits = serving_logits(config, len(world.item_ids), history)
    everywhere = np.ones(history.shape, bool)
    profiles = np.tile(profile, (len(history), 1))
    histories = Histories(history, everywhere, logits, profiles)
    vectors, active, couplings = with_couplings(world.model, histories, None)
    count = int(active[0].sum())
    return Routed(history, couplings[:, :, :count], vectors[:, :count])


def controls(world: World, user: int, history: Ints) -> Controls:
    """Return the controls of a user whose behaviours (n,) are routed. Random by (seed, user)."""
    profile, users = world.profiles[user], len(world.user_ids)
    own = routed(world, history[None], profile)
    seed, config = world.model.config.seed, world.model.config
    rng = stream(seed, "study", users + user)  # those below are of the negatives
    again = np.tile(history, (DRAWS, 1))
    logits = drawn(rng, (*again.shape, config.interests), config.sigma, config.dtype)
    redrawn = routed(world, again, profile, logits)
    groupings = alike(own, redrawn)
    mixed = np.stack([nobody(world, rng, len(history)) for _ in range(DRAWS)])
    order = rng.permutation(len(history))
    other = routed(world, history[order][None], profile)
    return Controls(
        user=measures(world, own),
        redrawn=measures(world, redrawn),
        grouping=float(groupings.mean()),
        lowest_grouping=float(groupings.min()),
        match=matched(own, redrawn),
        mixed=measures(world, routed(world, mixed, profile)),
        reordered=float(abs(other.couplings - own.couplings[:, order]).max()),
        draws=DRAWS,
    )


def nobody(world: World, rng: np.random.Generator, size: int) -> Ints:
    """Return behaviours of nobody: distinct items, drawn as often as they stand in the log."""
    times = np.bincount(world.histories.values, minlength=len(world.item_ids))
    few = np.count_nonzero(times) < size
    return rng.choice(len(times), size, replace=bool(few), p=times / times.sum())


def measures(world: World, found: Routed) -> Measures:
    """Return the measures of routed histories, means over them."""
    history, couplings, vectors = found
    everywhere = np.ones(history.shape, bool)
    several = couplings.shape[2] > 1
    cosines = similarity(vectors, np.ones(vectors.shape[:2], bool)) if several else None
    return Measures(
        largest=float(couplings.max(axis=2).mean()),
        used=float(effective_number(shares_of(couplings, everywhere)).mean()),
        similarity=None if cosines is None else float(cosines.mean()),
        purity=None if world.groups is None else purity(found, world.groups.of_item),
    )


def purity(found: Routed, of_item: Ints) -> float:
    """Return the share of behaviours that are of the commonest group of their interest."""
    labels, owners = of_item[found.history], found.couplings.argmax(axis=2)
    sizes = (found.couplings.shape[2], int(of_item.max()) + 1)
    table = contingency(owners, labels, np.ones(labels.shape, bool), sizes)
    return float(table.max(axis=2).sum(axis=1).mean() / labels.shape[1])


def alike(own: Routed, others: Routed) -> Array:
    """Return the adjusted Rand index (C,) between the groupings of the same behaviours."""
    first = np.tile(own.couplings.argmax(axis=2), (len(others.history), 1))
    second, count = others.couplings.argmax(axis=2), own.couplings.shape[2]
    table = contingency(first, second, np.ones(first.shape, bool), (count, count))
    return adjusted_rand(table)


def matched(own: Routed, others: Routed) -> float:
    """Return the mean cosine of interests with their counterparts, best assignment of each draw."""
    from scipy.optimize import linear_sum_assignment

    cosines = units(own.vectors) @ units(others.vectors).transpose(0, 2, 1)
    return float(np.mean([each[linear_sum_assignment(-each)].mean() for each in cosines]))


def units(vectors: Array) -> Array:
    """Return vectors (..., D) of length one, zero staying zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
