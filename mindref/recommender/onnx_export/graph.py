"""A graph of ONNX under construction: nodes and constants by name.

Spec: specs/onnx.md. The name of a node is the name of its output. `/` separates the parts of one
step: `routing[1].capsules/length` belongs to the step `routing[1].capsules`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

import mindref

OPSET = 18
IR_VERSION = 8
"""Both are of 2022. Runtimes since then can read a file, whatever version of `onnx` wrote it."""


class Graph:
    """The nodes of a graph in the order of computation, and its constants."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, TensorProto] = {}

    def array(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """Add a constant of this name, with the dtype of the array; return the name."""
        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
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

    def model(
        self,
        inputs: list[ValueInfoProto],
        outputs: list[ValueInfoProto],
        name: str,
        description: str,
    ) -> ModelProto:
        """Return the model of the graph, with a description as its doc_string."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, [*self.tensors.values()])
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],  # onnx-R7
            ir_version=IR_VERSION,
            producer_name="mindref",
            producer_version=mindref.__version__,
            doc_string=description,
        )
