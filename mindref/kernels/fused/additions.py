"""The settings by which mind_plus differs from MIND, and the vectors of behaviours.

Spec: specs/mind_plus.md. The fused step computes both models: MIND has none of the additions.
"""

from __future__ import annotations

from typing import NamedTuple

from mindref.config import Config
from mindref.models import mind_plus
from mindref.models.parameters import Params
from mindref.shapes import Array, Ints


class Additions(NamedTuple):
    """Settings of mind_plus; the defaults are those of MIND."""

    positions: Array | None = None  # (L, C) log weights by age
    contexts: int = 0
    learned_votes: bool = True  # votes are S e, else item vectors
    head: str = "layers"
    pooled: bool = False  # the loss is pooled_softmax


class Behaviours(NamedTuple):
    """Vectors and votes of behaviours. Behaviour n has row rows[n] of both."""

    rows: Ints  # (N,)
    vectors: Array  # of the distinct items; with dropout, of the behaviours
    votes: Array  # S times the vectors, or the vectors


def additions_of(params: Params | mind_plus.Params, config: Config) -> Additions:
    """Return the additions of a model with these parameters."""
    if not isinstance(params, mind_plus.Params):
        return Additions()
    learned = config.votes == "matrix"
    pooled = config.attention == "pooled"
    return Additions(params.positions, config.contexts, learned, config.head, pooled)


def is_fused(config: Config) -> bool:
    """Return whether the fused step computes mind_plus with these settings.

    The coupling weights must be constant in the gradient; a pooled loss needs sharpness 1.
    """
    constant = config.routing == "uniform" or config.iterations == 1
    pooled = config.attention == "pooled"
    return (config.routing_gradient == "last" or constant) and (not pooled or config.sharpness == 1)
