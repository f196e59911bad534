"""Spec: specs/routing.md. `votes` is (B, L, D) for one matrix, and (B, L, K, D) for many."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mindref.errors import ShapeError
from mindref.shapes import Array, Bools
from tests.conformance.independent.argument_checks import check_axes, check_floats, check_masks
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved
from tests.conformance.independent.squash import Squash, SquashSaved


class Iteration(NamedTuple):
    """The saved values of one iteration."""

    softmax: SoftmaxSaved
    squash: SquashSaved
    capsules: Array


class RoutingSaved(NamedTuple):
    history: Array
    bilinear: Array
    votes: Array
    iterations: list[Iteration]
    factors: Array | None  # exp of the log weights
    gradient: str
    allowed: Bools

    @property
    def couplings(self) -> Array:
        return self.iterations[-1].softmax.weights


class Routing:
    """Behaviour-to-interest dynamic routing."""

    def __init__(self, softmax: Softmax, squash: Squash) -> None:
        self.softmax, self.squash = softmax, squash

    def forward(
        self,
        history: Array,
        mask: Bools,
        bilinear: Array,
        init_logits: Array,
        active: Bools,
        log_weights: Array | None = None,
        *,
        iterations: int,
        gradient: str,
        axis: str = "interests",
        kind: str = "squash",
    ) -> tuple[Array, RoutingSaved]:
        arrays = (history, mask, bilinear, init_logits, active, log_weights)
        self.check_arrays(*arrays)
        self.check_options(iterations, gradient, axis)
        iterations = self.read_iterations(iterations)
        history = np.where(mask[:, :, None], history, 0)
        allowed = mask[:, :, None] & active[:, None, :]
        factors = None if log_weights is None else self.compute_factors(log_weights, allowed)
        votes = self.compute_votes(history, bilinear)
        logits, saved_iterations = self.start_logits(init_logits), []
        softmax_axis = 2 if axis == "interests" else 1
        for iteration in range(iterations):
            weights, of_softmax = self.softmax.forward(logits, allowed, axis=softmax_axis)
            is_last = iteration + 1 == iterations
            sums = self.sum_votes(self.scale_weights(weights, factors, is_last=is_last), votes)
            capsules, of_squash = self.squash_sums(sums, kind, is_last=is_last)
            saved_iterations.append(Iteration(of_softmax, of_squash, capsules))
            if not is_last:
                agreement = self.compute_agreement(votes, capsules)
                logits = self.update_logits(logits, weights, agreement)
        saved_iterations = self.select_saved(saved_iterations)
        saved = RoutingSaved(history, bilinear, votes, saved_iterations, factors, gradient, allowed)
        return capsules.copy(), saved

    def check_arrays(
        self,
        history: Array,
        mask: Bools,
        bilinear: Array,
        init_logits: Array,
        active: Bools,
        log_weights: Array | None,
    ) -> None:
        optional = {} if log_weights is None else {"log_weights": log_weights}
        check_axes(
            "routing",
            history=(history, "BLD"),
            mask=(mask, "BL"),
            init_logits=(init_logits, "BLK"),
            active=(active, "BK"),
            bilinear=(bilinear, "DD" if bilinear.ndim == 2 else "LKDD"),
            **{name: (x, "BLK") for name, x in optional.items()},
        )
        floats = {"history": history, "bilinear": bilinear, "init_logits": init_logits}
        check_floats("routing", **floats, **optional)
        check_masks("routing", mask=mask, active=active)

    def check_options(self, iterations: Any, gradient: str, axis: str) -> None:
        if not isinstance(iterations, (int, np.integer)) or iterations < 1:
            raise ShapeError(f"routing: iterations: expected an integer from 1, got {iterations}")
        if gradient not in ("all", "last"):
            raise ShapeError(f"routing: gradient: expected all or last, got {gradient}")
        if axis not in ("interests", "behaviours"):
            raise ShapeError(f"routing: axis: expected interests or behaviours, got {axis}")

    def read_iterations(self, iterations: int) -> int:
        return iterations

    def start_logits(self, init_logits: Array) -> Array:
        return init_logits

    def compute_factors(self, log_weights: Array, allowed: Bools) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(np.where(allowed, log_weights, -np.inf))

    def scale_weights(self, weights: Array, factors: Array | None, *, is_last: bool) -> Array:
        """Return the coupling weights of one iteration times the factors of the log weights."""
        return weights if factors is None else weights * factors

    def squash_sums(self, sums: Array, kind: str, *, is_last: bool) -> tuple[Array, SquashSaved]:
        return self.squash.forward(sums, kind=kind)

    def update_logits(self, logits: Array, weights: Array, agreement: Array) -> Array:
        return logits + agreement

    def update_backward(self, d_logits: Array) -> tuple[Array, Array | float, Array]:
        """Return the gradients of the logits, of the coupling weights and of the agreement."""
        return d_logits, 0.0, d_logits

    def select_saved(self, iterations: list[Iteration]) -> list[Iteration]:
        """Return the iterations that backward reads."""
        return iterations

    def compute_votes(self, history: Array, bilinear: Array) -> Array:
        if bilinear.ndim == 2:
            return np.matmul(history, bilinear.T)
        return np.einsum("lkij,blj->blki", bilinear, history)

    def sum_votes(self, weights: Array, votes: Array) -> Array:
        if votes.ndim == 3:
            return np.matmul(weights.swapaxes(1, 2), votes)
        return np.einsum("blk,blkd->bkd", weights, votes)

    def compute_agreement(self, votes: Array, capsules: Array) -> Array:
        if votes.ndim == 3:
            return np.matmul(votes, capsules.swapaxes(1, 2))
        return np.einsum("blkd,bkd->blk", votes, capsules)

    def spread_vectors(self, weights: Array, vectors: Array, votes: Array) -> Array:
        """Return the gradient of the votes for weights (B, L, K) and vectors (B, K, D)."""
        if votes.ndim == 3:
            return np.matmul(weights, vectors)
        return weights[:, :, :, None] * vectors[:, None, :, :]

    def backward(self, d_capsules: Array, saved: RoutingSaved) -> tuple[Array, ...]:
        iterations, votes, factors = saved.iterations, saved.votes, saved.factors
        last = len(iterations) - 1
        d_votes = np.zeros(votes.shape, votes.dtype)
        d_logits = np.zeros(saved.couplings.shape, votes.dtype)
        d_log_weights = np.zeros(saved.couplings.shape, votes.dtype)
        d_update: Array | float = 0.0  # the gradient of the weights by the update
        for index in range(last, -1, -1):
            of_softmax, of_squash, _ = iterations[index]
            if index < last:  # 5
                capsules = self.read_capsules(iterations, index)
                d_logits, d_update, d_agreement = self.update_backward(d_logits)
                d_votes = d_votes + self.spread_vectors(d_agreement, capsules, votes)
                d_capsules = self.sum_votes(d_agreement, votes)
            d_sums = self.squash.backward(d_capsules, of_squash)  # 4
            scaled = of_softmax.weights if factors is None else of_softmax.weights * factors
            d_votes = d_votes + self.spread_vectors(scaled, d_sums, votes)  # 3
            if factors is not None or saved.gradient == "all":
                d_scaled = self.compute_agreement(votes, d_sums)
            if factors is not None:
                d_log_weights = d_log_weights + np.where(saved.allowed, scaled * d_scaled, 0)
            if saved.gradient == "last":
                break
            d_weights = self.factors_backward(d_scaled, factors) + d_update
            d_logits = d_logits + self.softmax.backward(d_weights, of_softmax)  # 2
        d_history, d_bilinear = self.votes_backward(d_votes, saved.history, saved.bilinear)  # 1
        d_history = np.where(saved.allowed.any(axis=2)[:, :, None], d_history, 0)
        gradients = (d_history, d_bilinear, d_logits)
        return gradients if factors is None else (*gradients, d_log_weights)

    def read_capsules(self, iterations: list[Iteration], index: int) -> Array:
        return iterations[index].capsules

    def factors_backward(self, d_scaled: Array, factors: Array | None) -> Array:
        return d_scaled if factors is None else d_scaled * factors

    def votes_backward(
        self, d_votes: Array, history: Array, bilinear: Array
    ) -> tuple[Array, Array]:
        if bilinear.ndim == 2:
            return np.matmul(d_votes, bilinear), np.einsum("bld,ble->de", d_votes, history)
        return (
            np.einsum("lkij,blki->blj", bilinear, d_votes),
            np.einsum("blki,blj->lkij", d_votes, history),
        )
