"""The operators of the user tower as nodes of ONNX: softmax, squash, routing and ReLU layers.

Spec: specs/onnx.md, and the page of each operator. The nodes compute what mindref/ops computes. A
name is that of the step; the last node of a step has the name of the step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.models.parameters import Layer
from mindref.ops.routing import AXES
from mindref.recommender.export.onnx.graph import Graph


class RoutingInputs(NamedTuple):
    """Names of the inputs of routing."""

    votes: str  # (B, L, D)
    allowed: str  # (B, L, K) behaviours of active interests
    logits: str | None  # (B, L, K) initial logits; None: zeros
    factors: str | None  # (B, L, K) or (B, L, 1) factors of the coupling weights


def add_softmax(graph: Graph, name: str, logits: str, mask: str, axis: int) -> str:
    """Add a softmax over one axis; where the mask is false the weight is zero."""
    axes = graph.integers(axis)
    zero, smallest = graph.number(0.0), graph.number(-np.inf)
    masked = graph.add("Where", f"{name}/masked", mask, logits, smallest)  # softmax-R2
    largest = graph.add("ReduceMax", f"{name}/largest", masked, axes)
    is_empty = graph.add("Equal", f"{name}/is_empty", largest, smallest)
    shift = graph.add("Where", f"{name}/shift", is_empty, zero, largest)  # softmax-R4
    shifted = graph.add("Sub", f"{name}/shifted", masked, shift)  # softmax-R3
    exponentials = graph.add("Exp", f"{name}/exponentials", shifted)
    total = graph.add("ReduceSum", f"{name}/total", exponentials, axes)
    is_zero = graph.add("Equal", f"{name}/is_zero", total, zero)
    divisor = graph.add("Where", f"{name}/divisor", is_zero, graph.number(1.0), total)
    return graph.add("Div", name, exponentials, divisor)  # softmax-R1


def add_squash(graph: Graph, name: str, x: str, kind: str) -> str:
    """Add squash of the last axis; kind: see mindref/ops/squash.py."""
    if kind == "none":
        return graph.add("Identity", name, x)  # squash-R7
    zero, one, last = graph.number(0.0), graph.number(1.0), graph.integers(-1)
    sizes = graph.add("Abs", f"{name}/sizes", x)
    largest = graph.add("ReduceMax", f"{name}/largest", sizes, last)
    is_zero = graph.add("Equal", f"{name}/is_zero", largest, zero)
    scale = graph.add("Where", f"{name}/scale", is_zero, one, largest)
    scaled = graph.add("Div", f"{name}/scaled", x, scale)  # squash-R4
    squares = graph.add("Mul", f"{name}/squares", scaled, scaled)
    total = graph.add("ReduceSum", f"{name}/total", squares, last)
    length = graph.add("Sqrt", f"{name}/length", total)  # of the scaled vector
    divisor = graph.add("Where", f"{name}/divisor", is_zero, one, length)  # squash-R3
    if kind == "unit":
        return graph.add("Div", name, scaled, divisor)  # squash-R6
    unit = graph.add("Div", f"{name}/unit", scaled, divisor)
    norm = graph.add("Mul", f"{name}/norm", largest, length)
    inside = graph.add("LessOrEqual", f"{name}/inside", norm, one)
    above_one = graph.add("Max", f"{name}/above_one", norm, one)
    inverse = graph.add("Div", f"{name}/inverse", one, above_one)
    r = graph.add("Where", f"{name}/r", inside, norm, inverse)  # min(n, 1 / n)
    r_squared = graph.add("Mul", f"{name}/r_squared", r, r)
    numerator = graph.add("Where", f"{name}/numerator", inside, r_squared, one)
    denominator = graph.add("Add", f"{name}/denominator", one, r_squared)
    gain = graph.add("Div", f"{name}/gain", numerator, denominator)  # squash-R1
    return graph.add("Mul", name, unit, gain)


def add_routing(graph: Graph, inputs: RoutingInputs, iterations: int, axis: str, kind: str) -> str:
    """Add the iterations of routing, `routing[1]` to `routing[r]`; return the capsules."""
    logits = inputs.logits or graph.number(0.0)
    for iteration in range(1, iterations + 1):  # routing-R5
        step = f"routing[{iteration}]"
        weights = add_softmax(graph, f"{step}.weights", logits, inputs.allowed, AXES[axis])
        sums = add_weighted_sum(graph, f"{step}.sums", weights, inputs.factors, inputs.votes)
        capsules = add_squash(graph, f"{step}.capsules", sums, kind)
        if iteration < iterations:  # no update after the last iteration
            columns = graph.add("Transpose", f"{step}.agreement/columns", capsules, perm=[0, 2, 1])
            agreement = graph.add("MatMul", f"{step}.agreement", inputs.votes, columns)
            logits = graph.add("Add", f"{step}.update", logits, agreement)  # routing-R8
    return capsules


def add_weighted_sum(graph: Graph, name: str, weights: str, factors: str | None, votes: str) -> str:
    """Add the sums (B, K, D) over behaviours of weight (B, L, K), factor and vote (B, L, D)."""
    if factors is not None:
        weights = graph.add("Mul", f"{name}/weights", weights, factors)  # routing-R33
    rows = graph.add("Transpose", f"{name}/rows", weights, perm=[0, 2, 1])
    return graph.add("MatMul", name, rows, votes)  # routing-R3


def add_layers(graph: Graph, x: str, layers: tuple[Layer, ...], *, last_relu: bool) -> str:
    """Add the layers, `layers[1]` to the last; without `last_relu` the last is linear."""
    for number, layer in enumerate(layers, 1):
        name = f"layers[{number}]"
        weight = graph.array(f"{name}.weight", layer.weight)
        bias = graph.array(f"{name}.bias", layer.bias)
        product = graph.add("MatMul", f"{name}/product", x, weight)
        x = graph.add("Add", name, product, bias)
        if last_relu or number < len(layers):  # model-R5
            x = graph.add("Relu", f"{name}.relu", x)
    return x
