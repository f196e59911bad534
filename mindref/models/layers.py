"""The ReLU layers of a model, forward and backward.

Spec: specs/model.md, model-R5; the operator is specs/relu_layer.md.
"""

from __future__ import annotations

from mindref.models.parameters import Layer
from mindref.ops import REFERENCE, Operators, relu_layer
from mindref.shapes import Array

SavedLayers = tuple[relu_layer.Saved, ...]


def layers_forward(
    x: Array, layers: tuple[Layer, ...], last_relu: bool, ops: Operators = REFERENCE
) -> tuple[Array, SavedLayers]:
    """Map x (M, I) through all layers to (M, O); the last is linear unless `last_relu`.

    Raises the errors of the operator.
    """
    saved = []
    for i, layer in enumerate(layers):
        relu = last_relu or i < len(layers) - 1
        x, saved_layer = ops.relu_layer.forward(x, *layer, relu=relu)  # model-R5
        saved.append(saved_layer)
    return x, tuple(saved)


def layers_backward(
    d_x: Array, saved: SavedLayers, ops: Operators = REFERENCE
) -> tuple[Array, tuple[Layer, ...]]:
    """Return d_x (M, I) before the first layer, and the gradient of each layer."""
    gradients = []
    for i in reversed(range(len(saved))):
        d_x, d_weight, d_bias = ops.relu_layer.backward(d_x, saved[i])
        gradients.append(Layer(d_weight, d_bias))
    return d_x, tuple(reversed(gradients))
