"""A graph of ONNX under construction: nodes and constants by name.

Spec: specs/onnx.md. The name of a node is the name of its output. `/` separates the parts of one
step: `routing[1].capsules/length` belongs to the step `routing[1].capsules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

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

OPSET = 18
IR_VERSION = 8
"""Both are of 2022. Runtimes since then can read a file, whatever version of `onnx` wrote it."""

SMALL = 1024  # bytes of a constant that stays in the file of the graph
PAGE = 4096  # offsets in the file of constants are multiples, so that runtimes can map the file


class Graph:
    """The nodes of a graph in the order of computation, and its constants."""

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

    @property
    def nbytes(self) -> int:
        """Number of bytes of all constants."""
        return sum(array.nbytes for array in self.arrays.values())

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

        A message of Protocol Buffers cannot contain 2 GiB, so these bytes never are in one.
        """
        for name, array in self.arrays.items():
            if array.nbytes <= SMALL:
                yield numpy_helper.from_array(array, name)
                continue
            file.seek(-file.tell() % PAGE, 1)
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor = TensorProto(name=name, data_type=dtype, dims=array.shape)
            tensor.data_location = TensorProto.EXTERNAL
            words = {"location": location, "offset": file.tell(), "length": array.nbytes}
            tensor.external_data.extend(
                StringStringEntryProto(key=key, value=str(value)) for key, value in words.items()
            )
            file.write(array.data)
            yield tensor
