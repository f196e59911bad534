"""Export of the user tower to ONNX, and reading of the file with ONNX Runtime.

Spec: specs/onnx.md. The extra `onnx` installs the two packages. The nodes compute what mindref/ops
computes, in the order of mindref/models/mind.py, and the names of the steps are those of
`mindref study`. A graph cannot raise errors, so the values are not checked.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from onnx import (
    ModelProto,
    NodeProto,
    StringStringEntryProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

import mindref
from mindref.config import Config
from mindref.models import tower
from mindref.models.tower import UserTower
from mindref.ops.routing import AXES
from mindref.recommender.export.check import RunTower
from mindref.shapes import Array, Bools

FAMILIES = tower.FAMILIES
FILE = "user_tower.onnx"
NEEDS = ("onnx", "onnxruntime")
LARGEST = 2_000_000_000
"""Bytes of constants in one file. Protocol Buffers, the format of ONNX, ends at 2^31 bytes."""

OPSET = 18
IR_VERSION = 8
"""Both are of 2022. Runtimes since then can read a file, whatever version of `onnx` wrote it."""

SMALL = 1024  # bytes of a constant that stays in the file of the graph
PAGE = 4096  # offsets in the file of constants are multiples, so that runtimes can map the file
TYPES = {"int64": TensorProto.INT64, "bool": TensorProto.BOOL, "float32": TensorProto.FLOAT}


def require() -> dict[str, str]:
    """Return the versions of the packages. Raises ImportError if one is missing."""
    for name in NEEDS:
        importlib.import_module(name)
    return {name: metadata.version(name) for name in NEEDS}


def write(parts: UserTower, folder: Path) -> dict[str, object]:
    """Write the user tower into a folder; return the file, the versions of ONNX and the nodes.

    Constants of more than LARGEST bytes are written to a second file in the same folder.
    """
    graph = tower_graph(parts)
    path = folder / FILE
    size = sum(array.nbytes for array in graph.arrays.values())
    data = folder / f"{FILE}.data" if size > LARGEST else None  # onnx-R9
    path.write_bytes(graph.model(data).SerializeToString(deterministic=True))
    nodes = len(graph.nodes)
    return {"file": FILE, "opset": OPSET, "ir_version": IR_VERSION, "nodes": nodes}


def open_file(path: Path) -> RunTower:
    """Return the tower of a file as a function of arrays, run by ONNX Runtime on the CPU."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]

    def run(*arrays: np.ndarray[Any, Any]) -> tuple[Array, Bools]:
        feed = dict(zip(names, arrays, strict=True))
        interests, active = session.run(["interests", "active"], feed)
        return interests, active

    return run


class Graph:
    """The nodes of a graph in the order of computation, and its constants.

    The name of a node is the name of its output. `/` separates the parts of one step:
    `routing[1].capsules/length` belongs to the step `routing[1].capsules`.
    """

    def __init__(self, name: str, description: str) -> None:
        self.name, self.description = name, description  # the description is the doc_string
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []

    def array(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """Add a constant of this name, with the dtype of the array; return the name."""
        self.arrays.setdefault(name, np.asarray(array, order="C"))
        return name

    def number(self, value: float, dtype: str = "float32") -> str:
        """Return the name of a constant (); equal numbers are one constant."""
        return self.array(f"{dtype}({value})", np.array(value, dtype))

    def integers(self, *values: int) -> str:
        """Return the name of a constant (n,) of int64, such as axes or a shape."""
        return self.array(f"int64{list(values)}", np.array(values, np.int64))

    def add(self, op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the name of both."""
        node = helper.make_node(op_type, inputs, [name], name=name, **attributes)  # onnx-R6
        self.nodes.append(node)
        return name

    def model(self, data: Path | None = None) -> ModelProto:
        """Return the model of the graph. Constants that are not SMALL are written to `data`."""
        if data is None:
            tensors = [numpy_helper.from_array(x, name) for name, x in self.arrays.items()]
        else:
            with data.open("wb") as file:
                tensors = list(self.external_tensors(file, data.name))
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, tensors)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],  # onnx-R7
            ir_version=IR_VERSION,
            producer_name="mindref",
            producer_version=mindref.__version__,
            doc_string=self.description,
        )

    def external_tensors(self, file: BinaryIO, location: str) -> Iterator[TensorProto]:
        """Yield the constants; write those that are not SMALL to the file at `location`.

        A message of Protocol Buffers cannot contain 2 GiB, so large constants are in this file.
        """
        for name, array in self.arrays.items():
            if array.nbytes <= SMALL:
                yield numpy_helper.from_array(array, name)
                continue
            file.seek(-file.tell() % PAGE, os.SEEK_CUR)  # to the start of a page
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor = TensorProto(name=name, data_type=dtype, dims=array.shape)
            tensor.data_location = TensorProto.EXTERNAL
            words = {"location": location, "offset": file.tell(), "length": array.nbytes}
            tensor.external_data.extend(
                StringStringEntryProto(key=key, value=str(value)) for key, value in words.items()
            )
            file.write(array.data)
            yield tensor


class HistoryNodes(NamedTuple):
    """Names of the arrays of the behaviours in the window; L has one padded position more."""

    ids: str  # (B, L) rows of the item table, 0 at padding
    mask: str  # (B, L)
    ages: str  # (B, L) number of later behaviours, 0 at padding
    total: str  # (B, 1) number of behaviours
    vectors: str  # (B, L, D)


def tower_graph(parts: UserTower) -> Graph:
    """Return the graph of a user tower, with the settings of the model in its description."""
    words = (
        f"User tower of a run of the model {parts.config.model}: item rows, oldest first, and mask"
        " to interests and active interests. Nodes have the names of the steps of mindref study."
    )
    settings = json.dumps(parts.config.to_dict(), sort_keys=True)  # onnx-R8
    description = f"{words}\nsettings: {settings}"  # onnx-R6
    graph = Graph(f"{parts.config.model}_user_tower", description)
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
    capsules = add_routing(
        graph, votes=votes, allowed=allowed, logits=logits, factors=factors, config=config
    )
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
    for number, layer in enumerate(parts.layers, 1):
        name = f"layers[{number}]"
        weight = graph.array(f"{name}.weight", layer.weight)
        bias = graph.array(f"{name}.bias", layer.bias)
        product = graph.add("MatMul", f"{name}/product", x, weight)
        x = graph.add("Add", name, product, bias)
        if parts.config.last_relu or number < len(parts.layers):  # model-R5
            x = graph.add("Relu", f"{name}.relu", x)
    return x


def add_repeated(graph: Graph, name: str, x: str, total: int, count: int) -> str:
    """Add x (B, n, m) as rows of n m = `total` numbers, repeated `count` times (B, K, n m)."""
    rows = graph.add("Reshape", f"{name}/rows", x, graph.integers(0, 1, total))
    return graph.add("Expand", f"{name}/repeated", rows, graph.integers(1, count, 1))


def add_interests(graph: Graph, parts: UserTower, vectors: str, active: str) -> str:
    """Add the output `interests` (B, K, D), zero where inactive."""
    is_active = graph.add("Unsqueeze", "interests.active/mask", active, graph.integers(2))
    zero = graph.number(0.0)
    if not parts.config.normalise:
        return graph.add("Where", "interests", is_active, vectors, zero)  # onnx-R1
    vectors = graph.add("Where", "interests.active", is_active, vectors, zero)
    return add_squash(graph, "interests", vectors, "unit")  # model-R19


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


def add_routing(
    graph: Graph,
    *,
    votes: str,
    allowed: str,
    logits: str | None,
    factors: str | None,
    config: Config,
) -> str:
    """Add the iterations of routing, `routing[1]` to `routing[r]`; return the capsules.

    votes (B, L, D). allowed (B, L, K): behaviours of active interests. logits (B, L, K): initial
    logits; None: zeros. factors (B, L, K) or (B, L, 1): factors of the coupling weights.
    """
    iterations = config.iterations if config.routing == "dynamic" else 1  # model-R12
    logits = logits or graph.number(0.0)
    for iteration in range(1, iterations + 1):  # routing-R5
        step = f"routing[{iteration}]"
        axis = AXES[config.routing_axis]
        weights = add_softmax(graph, f"{step}.weights", logits, allowed, axis)
        sums = add_weighted_sum(graph, f"{step}.sums", weights, factors, votes)
        capsules = add_squash(graph, f"{step}.capsules", sums, config.squash)
        if iteration < iterations:  # no update after the last iteration
            columns = graph.add("Transpose", f"{step}.agreement/columns", capsules, perm=[0, 2, 1])
            agreement = graph.add("MatMul", f"{step}.agreement", votes, columns)
            logits = graph.add("Add", f"{step}.update", logits, agreement)  # routing-R8
    return capsules


def add_weighted_sum(graph: Graph, name: str, weights: str, factors: str | None, votes: str) -> str:
    """Add the sums (B, K, D) over behaviours of weight (B, L, K), factor and vote (B, L, D)."""
    if factors is not None:
        weights = graph.add("Mul", f"{name}/weights", weights, factors)  # routing-R33
    rows = graph.add("Transpose", f"{name}/rows", weights, perm=[0, 2, 1])
    return graph.add("MatMul", name, rows, votes)  # routing-R3
