"""What a computation comes to for one user: the few things that two readings differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import mindref.ops as reference_ops
from mindref.models import mind as reference_mind
from mindref.models.serving import Model, item_matrix, scaled
from mindref.shapes import Array, Bools
from mindref.study import plain
from mindref.study.serve import serve

if TYPE_CHECKING:
    from mindref.conformance.variants.loader import Built
    from mindref.study.run import Given

TOP = 10


class Found(NamedTuple):
    """An item as it would be shown to the user."""

    item: int
    score: float
    interest: int  # which brings it


class Outcome(NamedTuple):
    """One user under one reading of the algorithm."""

    loss: float
    active: Bools  # (K,)
    w: Array  # (L, K) coupling weights of the last round
    mask: Bools  # (L,)
    u: Array  # (K, D)
    s: Array  # (K,) scores of the target
    h: Array  # (K,) weights of the attention
    top: tuple[Found, ...]
    d_bilinear: Array  # (D, D)

    @property
    def interests(self) -> int:
        """Return K', the number of active interests."""
        return int(self.active.sum())

    @property
    def entropy(self) -> float:
        """Return the entropy of the weights of a behaviour, the mean over behaviours, in nats."""
        shares = self.w[self.mask]
        sums = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(sums > 0, sums, 1)
        logs = np.log(np.where(shares > 0, shares, 1))
        return float(-np.sum(shares * logs) / max(len(shares), 1))

    @property
    def cosine(self) -> float:
        """Return the mean cosine between two active interests; NaN where there is only one."""
        own = self.u[self.active]
        units = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-300)
        pairs = np.triu_indices(len(own), 1)
        return float(np.mean((units @ units.T)[pairs])) if len(own) > 1 else float("nan")

    def to_json(self, titles: Sequence[str] | None = None, gradient: bool = True) -> dict[str, Any]:
        """Return plain values; arrays to the last bit. gradient: whether it is worth showing."""
        shown = [{**found._asdict(), "title": title(titles, found.item)} for found in self.top]
        return {
            "loss": plain.number(self.loss),
            "count": self.interests,
            "w": plain.array(self.w, ("behaviour", "interest")),
            "u": plain.array(self.u, ("interest", "width")),
            "h": plain.array(self.h, ("interest",)),
            "top": shown,
            "entropy": plain.number(self.entropy),
            "cosine": plain.number(self.cosine),
            "gradient_norm": float(np.linalg.norm(self.d_bilinear)) if gradient else None,
        }


def outcome(given: Given, built: Built | None = None) -> Outcome:
    """Return what a user's training pair and lists come to, computed by the edited modules."""
    mind: Any = built.mind if built else reference_mind
    ops: Any = built.ops if built else reference_ops
    loss, saved = mind.loss(*given, ops)
    gradients = mind.backward(saved, ops=ops)
    users, active, kept = mind.interests(
        given.params, given.batch.histories, given.catalogue, given.config, ops
    )
    return Outcome(
        float(loss),
        active[0],
        np.array(kept.routing.couplings[0]),
        given.batch.histories.mask[0],
        users[0],
        saved.attention.scores[0],
        saved.attention.weights.out[0],
        listed(given, users[0], active[0]),
        gradients.bilinear,
    )


def loss(given: Given, built: Built) -> float:
    """Return the loss alone, computed by the edited modules."""
    found, _ = built.mind.loss(*given, built.ops)
    return float(found)


def listed(given: Given, interests: Array, active: Bools) -> tuple[Found, ...]:
    """Return the items with the highest scores, the maximum (or sum) over active interests."""
    items = item_matrix(Model(given.params, given.catalogue, given.config))
    vectors = scaled(interests, given.config)
    order, best, brought_by = serve(vectors, active, items, n=TOP, score=given.config.score)
    return tuple(Found(int(i), float(best[i]), int(brought_by[i])) for i in order)


def title(titles: Sequence[str] | None, item: int) -> str:
    """Return the title of an item, or its number."""
    return titles[item] if titles is not None else f"item {item}"
