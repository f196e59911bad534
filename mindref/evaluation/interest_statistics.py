"""Are the interests of a user different ones, are they used, and are they those that were planted?

Spec: specs/metrics.md. Interests are exchangeable, as their logits are drawn: what a single index
holds says little, what the fullest interest of each user holds says whether interests collapsed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.errors import DataError, say
from mindref.shapes import Array, Bools, bind


class Health(NamedTuple):
    """Means over the users who have at least two active interests and a behaviour."""

    users: int
    similarity: float  # -1 to 1, mean cosine over the pairs of a user's active interests
    share_by_index: Floats  # (K,) share of coupling weight that interest k holds; sums to 1
    share_by_rank: Floats  # (K,) the same with each user's shares sorted, fullest first
    effective: float  # 1 to K, exp of the entropy of a user's shares


class Recovery(NamedTuple):
    """How well behaviours are grouped as planted; means over users with two or more groups."""

    users: int
    ari: float  # adjusted Rand index: 1 perfect, 0 by chance, may be below
    ari_chance: float  # the same with planted labels shuffled within each user
    purity: float  # share of behaviours that agree with the majority of their interest
    purity_chance: float


def health(interests: Array, active: Bools, couplings: Array, mask: Bools) -> Health:
    """Measure interests (C, K, D), active (C, K), by couplings (C, L, K) of behaviours mask (C, L).

    Raises ShapeError; DataError where no user has two active interests and a behaviour.
    """
    bind(
        "health",
        interests=(interests, "CKD"),
        active=(active, "CK"),
        couplings=(couplings, "CLK"),
        mask=(mask, "CL"),
    )
    several = (active.sum(axis=1) >= 2) & mask.any(axis=1)  # metrics-R15
    if not several.any():
        raise DataError(say("health", "a user with two active interests", "none", "raise K"))
    shares = shares_of(couplings[several], mask[several])
    return Health(
        users=int(several.sum()),
        similarity=float(similarity(interests[several], active[several]).mean()),
        share_by_index=shares.mean(axis=0),
        share_by_rank=-np.sort(-shares, axis=1).mean(axis=0),
        effective=float(effective_number(shares).mean()),
    )


def similarity(interests: Array, active: Bools) -> Floats:
    """Return the mean cosine over pairs of active interests, (C,); every case has two or more.

    A zero vector has cosine 0 with everything.
    """
    vectors = np.where(active[..., None], interests, 0).astype(np.float64)
    norms = np.linalg.norm(vectors, axis=2, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1)
    # |sum of units|^2 holds every pair twice and each non-zero unit once
    total = (unit.sum(axis=1) ** 2).sum(axis=1) - (norms[..., 0] > 0).sum(axis=1)
    count = active.sum(axis=1)
    mean: Floats = total / (count * (count - 1))  # metrics-R12
    return mean


def shares_of(couplings: Array, mask: Bools) -> Floats:
    """Return the share of a user's coupling weight that each interest holds, (C, K)."""
    weight = np.where(mask[..., None], couplings, 0).sum(axis=1, dtype=np.float64)
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)  # metrics-R13
    return shares


def effective_number(shares: Floats) -> Floats:
    """Return exp of the entropy of shares (C, K): K when all are equal, 1 when one has all."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    number: Floats = np.exp(-(shares * logs).sum(axis=1))  # metrics-R14
    return number


def recovery(
    couplings: Array, mask: Bools, planted: Ints, rng: np.random.Generator, *, shuffles: int = 20
) -> Recovery:
    """Compare the strongest interest of each behaviour with the interest that was planted.

    couplings (C, L, K), mask (C, L), planted (C, L) labels from 0, below 0 for a behaviour outside
    every planted interest, which is left out. Raises ShapeError, DataError.
    """
    bind("recovery", couplings=(couplings, "CLK"), mask=(mask, "CL"), planted=(planted, "CL"))
    counted = mask & (planted >= 0)  # metrics-R16
    labels = np.where(counted, planted, 0)
    found = couplings.argmax(axis=2)
    sizes = (couplings.shape[2], int(labels.max(initial=0)) + 1)
    mixed = (contingency(found, labels, counted, sizes).any(axis=1)).sum(axis=1) >= 2
    if not mixed.any():
        raise DataError(say("recovery", "a user with two planted interests", "none"))
    found, labels, counted = found[mixed], labels[mixed], counted[mixed]
    real = scores(contingency(found, labels, counted, sizes))
    chance = [
        scores(contingency(found, shuffled(labels, counted, rng), counted, sizes))  # metrics-R18
        for _ in range(shuffles)
    ]
    ari_chance, purity_chance = np.mean(chance, axis=0)
    return Recovery(int(mixed.sum()), real[0], float(ari_chance), real[1], float(purity_chance))


def contingency(found: Ints, labels: Ints, counted: Bools, sizes: tuple[int, int]) -> Ints:
    """Return how many behaviours of a case have found interest k and planted label p, (C, K, P)."""
    interests, planted = sizes
    case, place = np.nonzero(counted)
    cell = (case * interests + found[case, place]) * planted + labels[case, place]
    table = np.bincount(cell, minlength=len(found) * interests * planted)
    return table.reshape(len(found), interests, planted)


def scores(table: Ints) -> tuple[float, float]:
    """Return adjusted Rand index and purity of tables (C, K, P), averaged over cases."""
    total = table.sum(axis=(1, 2))
    purity = table.max(axis=2).sum(axis=1) / total  # metrics-R17
    return float(adjusted_rand(table).mean()), float(purity.mean())


def adjusted_rand(table: Ints) -> Floats:
    """Return the adjusted Rand index of each table (C, K, P), (C,); Hubert and Arabie 1985."""
    together = pairs(table).sum(axis=(1, 2))
    rows, columns = pairs(table.sum(axis=2)).sum(axis=1), pairs(table.sum(axis=1)).sum(axis=1)
    every = pairs(table.sum(axis=(1, 2)))
    expected = rows * columns / np.where(every > 0, every, 1)
    room = (rows + columns) / 2 - expected
    # no room: both groupings put all behaviours together, or each alone, and so agree
    perfect = room == 0
    index: Floats = np.where(perfect, 1, (together - expected) / np.where(perfect, 1, room))
    return index  # metrics-R19


def pairs(count: Ints) -> Floats:
    """Return the number of pairs among `count` things."""
    return count * (count - 1) / 2


def shuffled(labels: Ints, counted: Bools, rng: np.random.Generator) -> Ints:
    """Return labels (C, L) in a random order among the counted places of each case."""
    case, place = np.nonzero(counted)
    order = np.lexsort((rng.random(len(case)), case))
    out = labels.copy()
    out[case, place] = labels[case[order], place[order]]
    return out
