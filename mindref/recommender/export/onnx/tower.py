"""The user tower as a graph of ONNX: histories and profiles to interests and active interests.

Spec: specs/onnx.md. The order of the nodes is that of mindref/models/mind.py, and the names of the
steps are those of `mindref study`. A graph cannot raise errors, so the values are not checked.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from mindref.models.tower import UserTower
from mindref.recommender.export.onnx.graph import Graph
from mindref.recommender.export.onnx.operators import (
    RoutingInputs,
    add_layers,
    add_routing,
    add_softmax,
    add_squash,
    add_weighted_sum,
)
from mindref.shapes import Array

TYPES = {"int64": TensorProto.INT64, "bool": TensorProto.BOOL, "float32": TensorProto.FLOAT}


class HistoryNodes(NamedTuple):
    """Names of the arrays of the behaviours in the window; L has one padded position more."""

    ids: str  # (B, L) rows of the item table, 0 at padding
    mask: str  # (B, L)
    ages: str  # (B, L) number of later behaviours, 0 at padding
    total: str  # (B, 1) number of behaviours
    vectors: str  # (B, L, D)


def tower_graph(parts: UserTower) -> Graph:
    """Return the graph of a user tower."""
    graph = Graph(f"{parts.config.model}_user_tower", description(parts))
    inputs, outputs = parts.signature()
    graph.inputs, graph.outputs = [*map(value_info, inputs)], [*map(value_info, outputs)]
    behaviours = add_behaviours(graph, parts)
    active = add_active(graph, parts, behaviours.total)
    if parts.routes:
        vectors = add_routed_vectors(graph, parts, behaviours, active)
    else:
        vectors = add_pooled_vectors(graph, parts, behaviours)
    add_interests(graph, parts, vectors, active)
    return graph


def value_info(tensor: dict[str, Any]) -> ValueInfoProto:
    """Return the declaration of an input or output; named sizes are dynamic."""  # onnx-R2
    return helper.make_tensor_value_info(tensor["name"], TYPES[tensor["type"]], tensor["shape"])


def description(parts: UserTower) -> str:
    """Return a description of the file, and the settings of the model as JSON."""
    words = (
        f"User tower of a run of the model {parts.config.model}: item rows, oldest first, and mask"
        " to interests and active interests. Nodes have the names of the steps of mindref study."
    )
    settings = json.dumps(parts.config.to_dict(), sort_keys=True)  # onnx-R8
    return f"{words}\nsettings: {settings}"  # onnx-R6


def add_behaviours(graph: Graph, parts: UserTower) -> HistoryNodes:
    """Add the last `window` behaviours, and their vectors.

    Both inputs get one padded position: ONNX Runtime 1.20 cannot reduce an axis of size 0.
    """
    zero, one_more = graph.number(0, "int64"), graph.integers(0, 0, 0, 1)
    window, axis = graph.number(parts.config.window, "int64"), graph.integers(1)
    counted = graph.add("Cast", "history.mask/counted", "mask", to=TensorProto.INT64)
    padded = graph.add("Pad", "history.mask/padded", counted, one_more)
    unmasked = graph.add("Cast", "history.mask/behaviours", padded, to=TensorProto.BOOL)
    number = graph.add("CumSum", "history.mask/number", padded, graph.number(1, "int64"))
    total = graph.add("ReduceSum", "history.mask/total", padded, axis)
    age = graph.add("Sub", "history.mask/age", total, number)
    recent = graph.add("Less", "history.mask/recent", age, window)
    mask = graph.add("And", "history.mask", unmasked, recent)  # onnx-R3
    ages = graph.add("Where", "history.ages", mask, age, zero)
    count = graph.add("Min", "history.count", total, window)
    rows = graph.add("Pad", "ids/padded", "items", one_more)
    ids = graph.add("Where", "ids", mask, add_checked_rows(graph, "ids", rows, parts.items), zero)
    table = graph.array("items.table", parts.items)
    vectors = graph.add("Gather", "history.embed", table, ids)  # model-R1
    return HistoryNodes(ids, mask, ages, count, vectors)


def add_checked_rows(graph: Graph, name: str, rows: str, table: Array) -> str:
    """Add rows with `len(table)` for negative ones, which ONNX would count from the end."""
    is_negative = graph.add("Less", f"{name}/is_negative", rows, graph.number(0, "int64"))
    beyond = graph.number(len(table), "int64")
    return graph.add("Where", f"{name}/checked", is_negative, beyond, rows)  # onnx-R4


def add_active(graph: Graph, parts: UserTower, count: str) -> str:
    """Add the active interests (B, K), from numbers of behaviours (B, 1)."""
    limit, one = parts.vectors, graph.number(1, "int64")
    if not parts.routes:  # youtube_dnn-R6: one, even without behaviours
        return graph.add("GreaterOrEqual", "active", count, graph.number(0, "int64"))
    if parts.config.interest_count == "fixed":  # model-R7
        is_empty = graph.add("Less", "interests.count/is_empty", count, one)
        every = graph.number(limit, "int64")
        num_active = graph.add("Where", "interests.count", is_empty, one, every)
    else:  # model-R3: floor(log2 n) is the number of powers of two from 2 to n; none is 2^63
        powers = np.array([2**k for k in range(1, min(limit, 62) + 1)], np.int64)
        thresholds = graph.array("interests.thresholds", powers)
        reached = graph.add("GreaterOrEqual", "interests.count/reached", count, thresholds)
        counted = graph.add("Cast", "interests.count/counted", reached, to=TensorProto.INT64)
        total = graph.add("ReduceSum", "interests.count/total", counted, graph.integers(1))
        num_active = graph.add("Max", "interests.count", total, one)
    order = graph.array("interests.order", np.arange(limit, dtype=np.int64))
    return graph.add("Less", "active", order, num_active)


def add_routed_vectors(
    graph: Graph, parts: UserTower, behaviours: HistoryNodes, active: str
) -> str:
    """Add the vectors (B, K, D) of a model with routing, active or not."""
    config, votes = parts.config, behaviours.vectors
    if config.votes == "matrix":  # mind_plus-R8
        matrix = graph.add("Transpose", "routing.votes/S", graph.array("S", parts.bilinear))
        votes = graph.add("MatMul", "routing.votes", votes, matrix)  # routing-R1
    columns = graph.add("Unsqueeze", "routing.mask/behaviours", behaviours.mask, graph.integers(2))
    rows = graph.add("Unsqueeze", "routing.mask/active", active, graph.integers(1))
    allowed = graph.add("And", "routing.mask", columns, rows)
    logits = None
    if parts.logits.any():  # onnx-R5
        table = graph.array("logits.table", parts.logits)
        logits = graph.add("Gather", "routing.logits", table, behaviours.ids)  # model-R16
    of_interests, of_contexts = np.split(
        parts.positions, [parts.positions.shape[1] - config.contexts], axis=1
    )
    factors = add_factors(graph, "routing.factors", of_interests, behaviours.ages)
    iterations = config.iterations if config.routing == "dynamic" else 1  # model-R12
    inputs = RoutingInputs(votes, allowed, logits, factors)
    capsules = add_routing(graph, inputs, iterations, config.routing_axis, config.squash)
    if config.head == "none":  # mind_plus-R11
        return capsules
    contexts = None
    context_factors = add_factors(graph, "contexts.factors", of_contexts, behaviours.ages)
    if context_factors is not None:  # mind_plus-R6, R7: the coupling weights are 1
        zero = graph.number(0.0)
        weights = graph.add("Where", "contexts.weights", columns, context_factors, zero)
        sums = add_weighted_sum(graph, "contexts.sums", weights, None, votes)
        contexts = add_squash(graph, "contexts.capsules", sums, config.squash)
    x = add_head(graph, parts, capsules, contexts)
    return graph.add("Add", "interests.residual", capsules, x) if config.head == "residual" else x


def add_factors(graph: Graph, name: str, log_weights: Array, ages: str) -> str | None:
    """Add the factors (B, L, C) of the behaviours by age; None without columns."""
    if log_weights.shape[1] == 0:  # mind_plus-R3
        return None
    table = graph.array(f"{name}.table", log_weights)
    return graph.add("Exp", name, graph.add("Gather", f"{name}/logs", table, ages))


def add_pooled_vectors(graph: Graph, parts: UserTower, behaviours: HistoryNodes) -> str:
    """Add the vectors (B, 1, D) of a model without routing: the head of the behaviours' mean."""
    mask = graph.add("Unsqueeze", "pooling.mask", behaviours.mask, graph.integers(2))
    logits = graph.number(0.0)
    if parts.positions.shape[1]:  # youtube_dnn-R2
        table = graph.array("pooling.logits.table", parts.positions)
        logits = graph.add("Gather", "pooling.logits", table, behaviours.ages)
    weights = add_softmax(graph, "pooling.weights", logits, mask, axis=1)  # youtube_dnn-R1
    mean = add_weighted_sum(graph, "pooling.mean", weights, None, behaviours.vectors)
    return add_head(graph, parts, mean, None)


def add_head(graph: Graph, parts: UserTower, vectors: str, contexts: str | None) -> str:
    """Add the layers of [vector ; profile ; contexts] for every vector (B, K, D)."""
    joined, width = [vectors], parts.items.shape[1]
    if parts.features:
        rows = add_checked_rows(graph, "profile.embed", "profile", parts.profile)
        table = graph.array("profile.table", parts.profile)
        profile = graph.add("Gather", "profile.embed", table, rows)  # model-R2 (B, G, Q)
        total = parts.features * parts.profile.shape[1]
        joined.append(add_repeated(graph, "interests.join/profile", profile, total, parts.vectors))
    if contexts is not None:
        total = parts.config.contexts * width
        joined.append(
            add_repeated(graph, "interests.join/contexts", contexts, total, parts.vectors)
        )
    x = graph.add("Concat", "interests.join", *joined, axis=2)  # model-R4, mind_plus-R9
    return add_layers(graph, x, parts.layers, last_relu=parts.config.last_relu)


def add_repeated(graph: Graph, name: str, x: str, total: int, count: int) -> str:
    """Add x (B, n, m) as rows of n m = `total` numbers, repeated `count` times (B, K, n m)."""
    rows = graph.add("Reshape", f"{name}/rows", x, graph.integers(0, 1, total))
    return graph.add("Expand", f"{name}/repeated", rows, graph.integers(1, count, 1))


def add_interests(graph: Graph, parts: UserTower, vectors: str, active: str) -> str:
    """Add the output `interests` (B, K, D), zero where inactive."""
    name = "interests.active" if parts.config.normalise else "interests"
    is_active = graph.add("Unsqueeze", "interests.active/mask", active, graph.integers(2))
    x = graph.add("Where", name, is_active, vectors, graph.number(0.0))  # onnx-R1
    return add_squash(graph, "interests", x, "unit") if parts.config.normalise else x  # model-R19
