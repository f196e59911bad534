"""The head, from capsules to interests: the layers of MIND, residual layers, or none.

Spec: specs/mind_plus.md, steps 6 and 7.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.layers import SavedLayers, layers_backward, layers_forward
from mindref.models.parameters import Layer
from mindref.ops import Operators
from mindref.shapes import Array


class Saved(NamedTuple):
    """Values that `forward` saves for backward."""

    layers: SavedLayers
    head: str
    shape: tuple[int, ...]  # of the capsules (B, K, D)
    extra_widths: tuple[int, int]  # widths of profile and contexts, appended to each capsule


def forward(
    capsules: Array,
    profile: Array,
    contexts: Array,
    layers: tuple[Layer, ...],
    config: Config,
    ops: Operators,
) -> tuple[Array, Saved]:
    """Map capsules (B, K, D), profile (B, P) and contexts (B, M D) to interests (B, K, D)."""
    extra_widths = (profile.shape[1], contexts.shape[1])
    if config.head == "none":  # mind_plus-R11
        return capsules, Saved((), config.head, capsules.shape, extra_widths)
    x = mind.join_profile(capsules, np.concatenate([profile, contexts], axis=1))  # 6, mind_plus-R9
    x, saved = layers_forward(x, layers, config.last_relu, ops)  # 7
    out = x.reshape(capsules.shape)
    if config.head == "residual":
        out = capsules + out  # 7, mind_plus-R10
    return out, Saved(saved, config.head, capsules.shape, extra_widths)


def backward(
    d_out: Array, saved: Saved, ops: Operators
) -> tuple[Array, Array, Array, tuple[Layer, ...]]:
    """Return the gradients of capsules (B, K, D), profile (B, P), contexts (B, M D) and layers."""
    if saved.head == "none":
        profile, contexts = (np.zeros((len(d_out), n), d_out.dtype) for n in saved.extra_widths)
        return d_out, profile, contexts, ()
    d_x, d_layers = layers_backward(d_out.reshape(-1, d_out.shape[2]), saved.layers, ops)  # 7
    d_capsules, d_extra = mind.split_profile(d_x, saved.shape)  # 6
    if saved.head == "residual":
        d_capsules = d_capsules + d_out  # 7
    d_profile, d_contexts = np.split(d_extra, [saved.extra_widths[0]], axis=1)
    return d_capsules, d_profile, d_contexts, d_layers
