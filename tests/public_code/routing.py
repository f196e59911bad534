"""Routing as specified, in steps that public bugs replace one at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.ops.routing import check_inputs
from mindref.shapes import Array, Bools
from tests.public_code.base import BuggyOperator, softmax, softmax_backward, squash, squash_backward


class Saved(NamedTuple):
    e: Array  # (B, L, D), zero at padded positions
    s: Array  # (D, D)
    votes: Array  # (B, L, D)
    mask: Bools
    allowed: Bools  # (B, L, K)
    iterations: list[tuple[Array, Array, Array, Array]]  # logits, weights, sums, capsules
    gradient: str

    @property
    def couplings(self) -> Array:
        return self.iterations[-1][1]


class Routing(BuggyOperator):
    """Every step is a method, followed by its derivative."""

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
        votes, b = self.project_votes(e, bilinear), self.start_logits(init_logits)
        allowed = mask[:, :, None] & active[:, None, :]
        saved = Saved(e, bilinear, votes, mask, allowed, [], gradient)
        count = self.num_iterations(iterations)
        for iteration in range(count):
            w = self.weigh(b, allowed)
            z = np.einsum("blk,bld->bkd", w, votes)
            u = squash(z) if iteration == count - 1 else self.inner_squash(z)
            saved.iterations.append((b, w, z, u))
            b = self.update(b, w, np.einsum("bld,bkd->blk", votes, u))
        return u, saved

    def backward(self, d_capsules: Array, saved: Saved) -> tuple[Array, Array, Array]:
        votes, d_votes = saved.votes, np.zeros_like(saved.votes)
        d_b, d_u, last = np.zeros_like(saved.couplings), d_capsules, len(saved.iterations) - 1
        for iteration in range(last, -1, -1):
            b, w, z, u = saved.iterations[iteration]
            d_b, d_w, d_agreement = self.update_backward(d_b)
            if iteration < last:
                d_votes += np.einsum("blk,bkd->bld", d_agreement, u)
                d_u = np.einsum("blk,bld->bkd", d_agreement, votes)
            d_z = (
                squash_backward(d_u, z) if iteration == last else self.inner_squash_backward(d_u, z)
            )
            d_votes += np.einsum("blk,bkd->bld", w, d_z)
            if saved.gradient == "last":
                d_b = np.zeros_like(d_b)
                break
            d_w = d_w + np.einsum("bld,bkd->blk", votes, d_z)
            d_b = d_b + self.weigh_backward(d_w, b, w, saved.allowed)
        d_e, d_s = self.project_votes_backward(d_votes, saved.e, saved.s)
        return np.where(saved.mask[..., None], d_e, 0), d_s, self.start_logits_backward(d_b)

    def num_iterations(self, iterations: int) -> int:
        return iterations

    def project_votes(self, e: Array, s: Array) -> Array:
        return e @ s.T

    def project_votes_backward(self, d_votes: Array, e: Array, s: Array) -> tuple[Array, Array]:
        return d_votes @ s, np.einsum("bli,blj->ij", d_votes, e)

    def start_logits(self, init_logits: Array) -> Array:
        return init_logits

    def start_logits_backward(self, d_b: Array) -> Array:
        return d_b

    def weigh(self, b: Array, allowed: Bools) -> Array:
        return softmax(b, allowed, 2)

    def weigh_backward(self, d_w: Array, b: Array, w: Array, allowed: Bools) -> Array:
        return softmax_backward(d_w, w, 2)

    def inner_squash(self, z: Array) -> Array:
        return squash(z)

    def inner_squash_backward(self, d_u: Array, z: Array) -> Array:
        return squash_backward(d_u, z)

    def update(self, b: Array, w: Array, agreement: Array) -> Array:
        return b + agreement

    def update_backward(self, d_b: Array) -> tuple[Array, Any, Array]:
        """Return the gradients of the logits, of the coupling weights and of the agreement."""
        return d_b, 0, d_b
