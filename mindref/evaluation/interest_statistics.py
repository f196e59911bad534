"""Interest statistics: similarity and use of a user's interests, agreement with true interests.

Spec: specs/metrics.md. The interests of a user are exchangeable, because their routing logits are
random. So the share of one interest index says little. The largest share of each user shows whether
interests have collapsed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.data.log import Floats, Ints
from mindref.errors import DataError, say
from mindref.shapes import Array, Bools, bind_axes


class InterestStatistics(NamedTuple):
    """Means over the users with at least two active interests and a behaviour."""

    users: int
    similarity: float  # -1 to 1, mean cosine over the pairs of a user's active interests
    share_by_index: Floats  # (K,) share of interest k in the coupling weights; sums to 1
    # (K,) as share_by_index, with the shares of each user sorted, largest first
    share_by_rank: Floats
    effective_number: float  # 1 to K, exp of the entropy of a user's shares


class InterestRecovery(NamedTuple):
    """Agreement of the grouping of behaviours with the true interests; means over users.

    Only users with at least two true interests are counted.
    """

    users: int
    ari: float  # adjusted Rand index: 1 perfect, 0 by chance, may be below
    ari_chance: float  # ari with the true labels shuffled within each user
    purity: float  # fraction of behaviours with the most frequent label of their interest
    purity_chance: float


def interest_statistics(
    interests: Array, active: Bools, couplings: Array, mask: Bools
) -> InterestStatistics:
    """Return statistics of interests (C, K, D), active (C, K), couplings (C, L, K), mask (C, L).

    Raises ShapeError, or DataError if no user has two active interests and a behaviour.
    """
    bind_axes(
        "interest_statistics",
        interests=(interests, "CKD"),
        active=(active, "CK"),
        couplings=(couplings, "CLK"),
        mask=(mask, "CL"),
    )
    eligible = (active.sum(axis=1) >= 2) & mask.any(axis=1)  # metrics-R15
    if not eligible.any():
        raise DataError(
            say("interest_statistics", "a user with two active interests", "none", "raise K")
        )
    shares = coupling_shares(couplings[eligible], mask[eligible])
    return InterestStatistics(
        users=int(eligible.sum()),
        similarity=float(mean_cosine(interests[eligible], active[eligible]).mean()),
        share_by_index=shares.mean(axis=0),
        share_by_rank=np.sort(shares, axis=1)[:, ::-1].mean(axis=0),
        effective_number=float(effective_number(shares).mean()),
    )


def mean_cosine(interests: Array, active: Bools) -> Floats:
    """Return the mean cosine over pairs of active interests, (C,); at least two per case.

    The cosine with a zero vector is 0.
    """
    vectors = np.where(active[..., None], interests, 0).astype(np.float64)
    norms = np.linalg.norm(vectors, axis=2, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1)
    # |sum of unit vectors|^2 contains every pair twice and each non-zero vector once
    total = (unit.sum(axis=1) ** 2).sum(axis=1) - (norms[..., 0] > 0).sum(axis=1)
    count = active.sum(axis=1)
    mean: Floats = total / (count * (count - 1))  # metrics-R12
    return mean


def coupling_shares(couplings: Array, mask: Bools) -> Floats:
    """Return the share of each interest in the coupling weights of a user, (C, K)."""
    weight = np.where(mask[..., None], couplings, 0).sum(axis=1, dtype=np.float64)
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)  # metrics-R13
    return shares


def effective_number(shares: Floats) -> Floats:
    """Return exp of the entropy of shares (C, K): K for equal shares, 1 for a single share."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    number: Floats = np.exp(-(shares * logs).sum(axis=1))  # metrics-R14
    return number


def interest_recovery(
    couplings: Array,
    mask: Bools,
    true_interests: Ints,
    rng: np.random.Generator,
    *,
    shuffles: int = 20,
) -> InterestRecovery:
    """Compare the interest with the largest coupling of each behaviour with its true interest.

    couplings (C, L, K), mask (C, L), true_interests (C, L): labels from 0. A behaviour with a
    negative label has no true interest and is not counted. Raises ShapeError, DataError.
    """
    bind_axes(
        "interest_recovery",
        couplings=(couplings, "CLK"),
        mask=(mask, "CL"),
        true_interests=(true_interests, "CL"),
    )
    counted = mask & (true_interests >= 0)  # metrics-R16
    labels = np.where(counted, true_interests, 0)
    strongest = couplings.argmax(axis=2)
    sizes = (couplings.shape[2], int(labels.max(initial=0)) + 1)
    eligible = (contingency(strongest, labels, counted, sizes).any(axis=1)).sum(axis=1) >= 2
    if not eligible.any():
        raise DataError(say("interest_recovery", "a user with two true interests", "none"))
    strongest, labels, counted = strongest[eligible], labels[eligible], counted[eligible]
    measured = clustering_scores(contingency(strongest, labels, counted, sizes))
    shuffled = (shuffle_labels(labels, counted, rng) for _ in range(shuffles))  # metrics-R18
    chance = [clustering_scores(contingency(strongest, x, counted, sizes)) for x in shuffled]
    ari_chance, purity_chance = np.mean(chance, axis=0)
    return InterestRecovery(
        int(eligible.sum()), measured[0], float(ari_chance), measured[1], float(purity_chance)
    )


def contingency(strongest: Ints, labels: Ints, counted: Bools, sizes: tuple[int, int]) -> Ints:
    """Return how many behaviours have strongest interest k and true interest p, (C, K, P)."""
    num_interests, num_labels = sizes
    case, position = np.nonzero(counted)
    cell = (case * num_interests + strongest[case, position]) * num_labels + labels[case, position]
    table = np.bincount(cell, minlength=len(strongest) * num_interests * num_labels)
    return table.reshape(len(strongest), num_interests, num_labels)


def clustering_scores(table: Ints) -> tuple[float, float]:
    """Return the means over cases of adjusted Rand index and purity of tables (C, K, P)."""
    total = table.sum(axis=(1, 2))
    purity = table.max(axis=2).sum(axis=1) / total  # metrics-R17
    return float(adjusted_rand(table).mean()), float(purity.mean())


def adjusted_rand(table: Ints) -> Floats:
    """Return the adjusted Rand index of each table (C, K, P), (C,); Hubert and Arabie 1985."""
    same_in_both = count_pairs(table).sum(axis=(1, 2))
    rows, columns = (count_pairs(table.sum(axis=axis)).sum(axis=1) for axis in (2, 1))
    all_pairs = count_pairs(table.sum(axis=(1, 2)))
    expected = rows * columns / np.where(all_pairs > 0, all_pairs, 1)
    maximum = (rows + columns) / 2 - expected
    # maximum 0: both groupings have one group, or one group per behaviour, and so agree
    perfect = maximum == 0
    index: Floats = np.where(perfect, 1, (same_in_both - expected) / np.where(perfect, 1, maximum))
    return index  # metrics-R19


def count_pairs(count: Ints) -> Floats:
    """Return the number of pairs of `count` elements."""
    return count * (count - 1) / 2


def shuffle_labels(labels: Ints, counted: Bools, rng: np.random.Generator) -> Ints:
    """Return labels (C, L), shuffled among the counted positions of each case."""
    case, position = np.nonzero(counted)
    order = np.lexsort((rng.random(len(case)), case))
    result = labels.copy()
    result[case, position] = labels[case[order], position[order]]
    return result
