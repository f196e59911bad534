"""Squash, softmax and routing of one user in plain loops, from the index notation of specs/.

Numbers are complex: an imaginary part of 1e-30 in an input comes out as the derivative along it,
exact to rounding and without a difference (the complex step). So this file knows no gradient and
is still an oracle for all of them.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TINY = 1e-30
Row = list[complex]


def squash(z: Sequence[complex]) -> Row:
    square = sum(x * x for x in z)
    length = cmath.sqrt(square)
    return [x * length / (1 + square) for x in z]


def softmax(b: Sequence[complex]) -> Row:
    raised = [cmath.exp(x) for x in b]
    return [x / sum(raised) for x in raised]


def routing(
    e: Any,
    s: Any,
    b: Any,
    rounds: int,
    log_weights: Any = None,
    *,
    over_behaviours: bool = False,
    frozen: bool = False,
) -> tuple[list[Row], list[list[Row]]]:
    """Return capsules u[k][d] and the weights w[i][k] of every round.

    e[i][d] behaviours, all real; s[d][d'] or s[i][k][d][d']; b[i][k] logits of active interests;
    log_weights[i][k] of how much a behaviour counts, none: once. `frozen` drops the imaginary part
    of the weights: they become constants.
    """
    n, count, width = len(e), len(b[0]), len(e[0])
    general = np.ndim(s) == 4
    b = [list(row) for row in b]
    counts = [
        [1 if log_weights is None else cmath.exp(log_weights[i][k]) for k in range(count)]
        for i in range(n)
    ]
    vote = [
        [
            [
                sum((s[i][k][d][c] if general else s[d][c]) * e[i][c] for c in range(width))
                for d in range(width)
            ]
            for k in range(count)
        ]
        for i in range(n)
    ]
    history = []
    for _ in range(rounds):
        if over_behaviours:
            columns = [softmax([b[i][k] for i in range(n)]) for k in range(count)]
            w = [[columns[k][i] for k in range(count)] for i in range(n)]
        else:
            w = [softmax(b[i]) for i in range(n)]
        if frozen:
            w = [[complex(x.real) for x in row] for row in w]
        history.append(w)
        z = [
            [sum(w[i][k] * counts[i][k] * vote[i][k][d] for i in range(n)) for d in range(width)]
            for k in range(count)
        ]
        u = [squash(z[k]) for k in range(count)]
        for i in range(n):
            for k in range(count):
                b[i][k] = b[i][k] + sum(vote[i][k][d] * u[k][d] for d in range(width))
    return u, history


def derivative(
    function: Callable[..., Any], arrays: Sequence[Any], cotangent: Any
) -> list[np.ndarray[Any, Any]]:
    """Return the gradient of sum(cotangent * function(*arrays)) by every entry of every array."""
    arrays = [np.array(x, complex) for x in arrays]
    gradients = []
    for array in arrays:
        gradient = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            array[place] += TINY * 1j
            out = np.array(function(*arrays))
            gradient[place] = np.sum(np.array(cotangent) * out.imag) / TINY
            array[place] -= TINY * 1j
        gradients.append(gradient)
    return gradients
