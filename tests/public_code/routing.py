"""Routing as the page has it, in steps that a public bug can replace one at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.ops.routing import check_inputs
from mindref.shapes import Array, Bools
from tests.public_code.base import Wrong, softmax, softmax_slope, squash, squash_slope


class Saved(NamedTuple):
    e: Array  # (B, L, D), zero in padded places
    s: Array  # (D, D)
    v: Array  # (B, L, D)
    mask: Bools
    allowed: Bools  # (B, L, K)
    iterations: list[tuple[Array, Array, Array, Array]]  # logits, weights, sums, capsules
    gradient: str

    @property
    def couplings(self) -> Array:
        return self.iterations[-1][1]


class Routing(Wrong):
    """Every step is a method of its own, its derivative beside it."""

    stem = "routing"

    def forward(
        self,
        history: Array,
        mask: Bools,
        bilinear: Array,
        init_logits: Array,
        active: Bools,
        *,
        iterations: int,
        gradient: str,
        axis: str = "interests",
        kind: str = "squash",
    ) -> tuple[Array, Saved]:
        check_inputs(history, mask, bilinear, init_logits, active, iterations, gradient, axis)
        if (axis, kind, bilinear.ndim) != ("interests", "squash", 2):
            raise NotImplementedError("one axis, one squash, one matrix")
        e = np.where(mask[..., None], history, 0)
        v, b = self.vote(e, bilinear), self.first(init_logits)
        allowed = mask[:, :, None] & active[:, None, :]
        saved = Saved(e, bilinear, v, mask, allowed, [], gradient)
        count = self.count(iterations)
        for turn in range(count):
            w = self.weigh(b, allowed)
            z = np.einsum("blk,bld->bkd", w, v)
            u = squash(z) if turn == count - 1 else self.between(z)
            saved.iterations.append((b, w, z, u))
            b = self.update(b, w, np.einsum("bld,bkd->blk", v, u))
        return u, saved

    def backward(self, d_capsules: Array, saved: Saved) -> tuple[Array, Array, Array]:
        v, d_v = saved.v, np.zeros_like(saved.v)
        d_b, d_u, last = np.zeros_like(saved.couplings), d_capsules, len(saved.iterations) - 1
        for turn in range(last, -1, -1):
            b, w, z, u = saved.iterations[turn]
            d_b, d_w, d_agreement = self.update_slope(d_b)
            if turn < last:
                d_v += np.einsum("blk,bkd->bld", d_agreement, u)
                d_u = np.einsum("blk,bld->bkd", d_agreement, v)
            d_z = squash_slope(d_u, z) if turn == last else self.between_slope(d_u, z)
            d_v += np.einsum("blk,bkd->bld", w, d_z)
            if saved.gradient == "last":
                d_b = np.zeros_like(d_b)
                break
            d_w = d_w + np.einsum("bld,bkd->blk", v, d_z)
            d_b = d_b + self.weigh_slope(d_w, b, w, saved.allowed)
        d_e, d_s = self.vote_slope(d_v, saved.e, saved.s)
        return np.where(saved.mask[..., None], d_e, 0), d_s, self.first_slope(d_b)

    def count(self, iterations: int) -> int:
        return iterations

    def vote(self, e: Array, s: Array) -> Array:
        return e @ s.T

    def vote_slope(self, d_v: Array, e: Array, s: Array) -> tuple[Array, Array]:
        return d_v @ s, np.einsum("bli,blj->ij", d_v, e)

    def first(self, init_logits: Array) -> Array:
        return init_logits

    def first_slope(self, d_b: Array) -> Array:
        return d_b

    def weigh(self, b: Array, allowed: Bools) -> Array:
        return softmax(b, allowed, 2)

    def weigh_slope(self, d_w: Array, b: Array, w: Array, allowed: Bools) -> Array:
        return softmax_slope(d_w, w, 2)

    def between(self, z: Array) -> Array:
        return squash(z)

    def between_slope(self, d_u: Array, z: Array) -> Array:
        return squash_slope(d_u, z)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        return b + agreement

    def update_slope(self, d_b: Array) -> tuple[Array, Any, Array]:
        """What passes to the logits, to the weights and to the agreement of this round."""
        return d_b, 0, d_b
