"""The settings by which mind_plus and YouTube DNN differ from MIND, and the vectors of behaviours.

Spec: specs/mind_plus.md, specs/youtube_dnn.md. The fused step computes the three models: MIND has
none of the additions. The mean of YouTube DNN is the capsule of one interest: one iteration whose
softmax is over the behaviours, votes that are the item vectors, and no squash.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind_plus, youtube_dnn
from mindref.models.mind import Histories
from mindref.models.parameters import Catalogue, Params
from mindref.shapes import Array, Ints

FusedParams = Params | mind_plus.Params | youtube_dnn.Params
"""Parameters of the families that the fused step computes."""


class ModelInputs(NamedTuple):
    """Parameters, histories and settings of a forward pass."""

    params: FusedParams
    histories: Histories
    catalogue: Catalogue
    config: Config
    dropout_factors: Array | None = None  # (B, L, D) of the vectors of behaviours


class RoutedInputs(NamedTuple):
    """Parameters, histories and settings with which routing computes a model."""

    params: Params | mind_plus.Params
    histories: Histories
    config: Config


class Additions(NamedTuple):
    """Settings of mind_plus and YouTube DNN; the defaults are those of MIND."""

    positions: Array | None = None  # (L, C) log weights by age
    contexts: int = 0
    learned_votes: bool = True  # votes are S e, else item vectors
    head: str = "layers"
    pooled: bool = False  # the loss is pooled_softmax
    weights_are_logits: bool = False  # the log weights are the routing logits of YouTube DNN


class Behaviours(NamedTuple):
    """Vectors and votes of behaviours. Behaviour n has row rows[n] of both."""

    rows: Ints  # (N,)
    vectors: Array  # of the distinct items; with dropout, of the behaviours
    votes: Array  # S times the vectors, or the vectors


def additions_of(params: Params | mind_plus.Params, config: Config) -> Additions:
    """Return the additions of a model with these parameters."""
    if not isinstance(params, mind_plus.Params):
        return Additions()
    return Additions(
        positions=params.positions,
        contexts=config.contexts,
        learned_votes=config.votes == "matrix",
        head=config.head,
        pooled=config.attention == "pooled",
        weights_are_logits=isinstance(params, MeanParams),
    )


class MeanParams(mind_plus.Params):
    """The parameters of YouTube DNN under the names of mind_plus; positions have 1 or 0 columns."""

    __slots__ = ()


def routed_inputs(inputs: ModelInputs) -> RoutedInputs:
    """Return those of MIND and mind_plus unchanged, and those of YouTube DNN as of mind_plus."""
    params, histories = inputs.params, inputs.histories
    if not isinstance(params, youtube_dnn.Params):
        return RoutedInputs(params, histories, inputs.config)
    items, profile, positions, layers = params
    mask, weighted = histories.mask, len(positions) > 0
    # youtube_dnn-R10: without log weights, a history has any length
    by_age = positions.T if weighted else np.zeros((mask.size, 0), items.dtype)
    bilinear = np.zeros((0, 0), items.dtype)
    histories = histories._replace(init_logits=np.zeros((*mask.shape, 1), items.dtype))
    routed_params = MeanParams(items, profile, bilinear, by_age, layers)
    return RoutedInputs(routed_params, histories, mean_config(inputs.config, weighted=weighted))


@lru_cache
def mean_config(config: Config, *, weighted: bool) -> Config:
    """Return the settings of mind_plus whose only capsule is the mean of YouTube DNN."""
    return dataclasses.replace(  # youtube_dnn-R7: these settings have no effect
        config,
        model="mind_plus",
        interests=1,  # youtube_dnn-R6
        routing="uniform",
        routing_axis="behaviours",  # youtube_dnn-R1
        routing_gradient="last",
        squash="none",
        attention="mean",
        votes="items",
        recency="shared" if weighted else "none",
    )


def is_fused(config: Config) -> bool:
    """Return whether the fused step computes mind_plus with these settings.

    The coupling weights must be constant in the gradient; a pooled loss needs sharpness 1.
    """
    constant = config.routing == "uniform" or config.iterations == 1
    pooled = config.attention == "pooled"
    return (config.routing_gradient == "last" or constant) and (not pooled or config.sharpness == 1)
