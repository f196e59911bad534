"""Summary of one user's computation, for comparing variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import mindref.ops as reference_ops
from mindref.models import mind as reference_mind
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model, item_matrix, normalise_vectors
from mindref.shapes import Array, Bools
from mindref.study import json_arrays
from mindref.study.top_items import find_top_items

if TYPE_CHECKING:
    from mindref.conformance.mutants.loader import BuiltModules
    from mindref.study.tracing import TrainingPair

LIST_LENGTH = 10


class ListedItem(NamedTuple):
    """A recommended item."""

    item: int
    score: float
    interest: int  # with the largest score
    seen: bool  # whether the item is in the history


class UserSummary(NamedTuple):
    """The results of one variant of the algorithm for one user."""

    loss: float
    active: Bools  # (K,)
    w: Array  # (L, K) coupling weights of the last iteration
    mask: Bools  # (L,)
    u: Array  # (K, D) capsules of the last iteration
    v: Array  # (K, D)
    s: Array  # (K,) scores of the target
    h: Array  # (K,) weights of the attention
    top: tuple[ListedItem, ...]
    d_bilinear: Array  # (D, D)

    @property
    def interests(self) -> int:
        """Return K', the number of active interests."""
        return int(self.active.sum())

    @property
    def entropy(self) -> float:
        """Return the mean entropy of the coupling weights of a behaviour, in nats."""
        shares = self.w[self.mask]
        sums = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(sums > 0, sums, 1)
        logs = np.log(np.where(shares > 0, shares, 1))
        return float(-np.sum(shares * logs) / max(len(shares), 1))

    @property
    def units(self) -> Array:
        """Return the active interests (K', D), normalised to length one."""
        interests = self.v[self.active]
        return interests / np.maximum(np.linalg.norm(interests, axis=1, keepdims=True), 1e-300)

    @property
    def cosine(self) -> float:
        """Return the mean cosine between two active interests; NaN for a single interest."""
        units = self.units
        pairs = np.triu_indices(len(units), 1)
        return float(np.mean((units @ units.T)[pairs])) if len(units) > 1 else float("nan")

    def to_json(self, titles: Sequence[str] | None = None, gradient: bool = True) -> dict[str, Any]:
        """Return JSON values. gradient: whether to include the norm of the gradient of S."""
        top = [
            {**listed._asdict(), "title": item_title(titles, listed.item)} for listed in self.top
        ]
        return {
            "loss": json_arrays.number_to_json(self.loss),
            "count": self.interests,
            "w": json_arrays.array_to_json(self.w, ("behaviour", "interest")),
            "v": json_arrays.array_to_json(self.v, ("interest", "width")),
            "h": json_arrays.array_to_json(self.h, ("interest",)),
            "top": top,
            "entropy": json_arrays.number_to_json(self.entropy),
            "cosine": json_arrays.number_to_json(self.cosine),
            "gradient_norm": float(np.linalg.norm(self.d_bilinear)) if gradient else None,
        }


def summarise_user(pair: TrainingPair, built: BuiltModules | None = None) -> UserSummary:
    """Return the summary of a training pair, computed by the reference or by edited modules."""
    mind: Any = built.mind if built else reference_mind
    ops: Any = built.ops if built else reference_ops
    loss, saved = mind.loss(*pair, ops)
    gradients = mind.backward(saved, ops=ops)
    users, active, saved_interests = mind.interests(
        pair.params, pair.batch.histories, pair.catalogue, pair.config, ops
    )
    return UserSummary(
        float(loss),
        active[0],
        np.array(saved_interests.routing.couplings[0]),
        pair.batch.histories.mask[0],
        np.array(saved_interests.routing.iterations[-1].capsules[0]),
        users[0],
        saved.attention.scores[0],
        saved.attention.weights.out[0],
        list_top_items(pair, users[0], active[0]),
        gradients.bilinear,
    )


def list_top_items(pair: TrainingPair, interests: Array, active: Bools) -> tuple[ListedItem, ...]:
    """Return the items with the largest scores: maximum or sum over the active interests."""
    ids = ServableItems.of(pair.catalogue).ids
    items = item_matrix(Model(pair.params, pair.catalogue, pair.config))[ids]
    vectors = normalise_vectors(interests, pair.config)
    order, _, best, brought_by = find_top_items(
        vectors, active, items, n=LIST_LENGTH, score=pair.config.score
    )
    seen = set(pair.batch.histories.items[0][pair.batch.histories.mask[0]].tolist())
    return tuple(
        ListedItem(int(ids[i]), float(best[i]), int(brought_by[i]), int(ids[i]) in seen)
        for i in order
    )


def item_title(titles: Sequence[str] | None, item: int) -> str:
    """Return the title of an item, or its number without titles."""
    return titles[item] if titles is not None else f"item {item}"
