"""Convert golden calls and answers to JSON and safetensors, and back.

Array names start with the name of the call, such as "masked/arrays/logits", "masked/d_out"
and "masked/answer/d_logits". Parameters have dotted names: "paper/arrays/params.layers.0.weight".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from mindref.config import Config
from mindref.conformance.runner.call import Answer, AnyArray, Call, named_arrays
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, unflatten

NamedArrays = dict[str, AnyArray]
SETTINGS = (
    "interests", "width", "iterations", "interest_count", "routing", "routing_axis",
    "routing_gradient", "squash", "hidden", "last_relu", "attention", "power", "loss",
    "temperature", "normalise", "profile_width", "beta1", "beta2", "epsilon", "dtype",
)  # fmt: skip
"""Settings of the model that are stored with the calls of loss, interests and training."""


class GoldenCase(NamedTuple):
    """A call with its golden answer."""

    call: Call
    answer: Answer


class GoldenSheet(NamedTuple):
    """The content of a golden file."""

    stem: str
    numbers: dict[str, dict[str, Any]]  # name of a call -> its keyword arguments
    arrays: NamedArrays


def sheet_of(stem: str, cases: dict[str, GoldenCase]) -> GoldenSheet:
    """Return the content of the golden file for `cases` (name -> call with answer)."""
    arrays: NamedArrays = {}
    for name, (call, answer) in cases.items():
        parts: dict[str, Any] = {"arrays": call.arrays, "answer": answer}
        for kind, part in parts.items():
            arrays |= {f"{name}/{kind}/{k}": x for k, x in named_arrays(part).items()}
        if call.cotangent is not None:
            arrays[f"{name}/d_out"] = call.cotangent
    numbers = {name: json_numbers(case.call.numbers) for name, case in cases.items()}
    return GoldenSheet(stem, numbers, arrays)


def json_numbers(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return `numbers` as values for JSON. Infinity becomes the string "inf"."""
    values = {k: "inf" if v == float("inf") else v for k, v in numbers.items() if k != "config"}
    if "config" in numbers:
        settings = numbers["config"].to_dict()
        values["config"] = {k: settings[k] for k in SETTINGS}
    return values


def sheet_cases(sheet: GoldenSheet) -> dict[str, GoldenCase]:
    """Return the calls and answers of a golden file: name -> call with answer."""
    return {name: sheet_case(sheet, name) for name in sheet.numbers}


def sheet_case(sheet: GoldenSheet, case: str) -> GoldenCase:
    """Return the call with the name `case`, and its answer."""
    case_arrays = strip_prefix(sheet.arrays, f"{case}/")
    arrays, answer = strip_prefix(case_arrays, "arrays/"), strip_prefix(case_arrays, "answer/")
    numbers = dict(sheet.numbers[case])
    if numbers.get("power") == "inf":
        numbers["power"] = float("inf")
    if "config" in numbers:
        numbers["config"] = Config.of("mind", numbers["config"])
        arrays = nested_arrays(arrays)
    return GoldenCase(Call(sheet.stem, arrays, numbers, case_arrays.get("d_out")), answer)


def strip_prefix(arrays: NamedArrays, prefix: str) -> NamedArrays:
    """Return the arrays whose names start with `prefix`; remove `prefix` from the names."""
    return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}


def nested_arrays(arrays: NamedArrays) -> dict[str, Any]:
    """Build parameters, histories, batches and catalogue from arrays with dotted names."""
    parts: dict[str, Any] = {"params": unflatten(strip_prefix(arrays, "params."))}
    if "histories.items" in arrays:
        parts["histories"] = Histories(**strip_prefix(arrays, "histories."))
    if "batch.target" in arrays:
        parts["batch"] = batch_from_arrays(strip_prefix(arrays, "batch."))
    steps = sorted({name.split(".")[1] for name in arrays if name.startswith("batches.")})
    if steps:
        step_arrays = (strip_prefix(arrays, f"batches.{i}.") for i in steps)
        parts["batches"] = tuple(map(batch_from_arrays, step_arrays))
    return parts | {"catalogue": Catalogue(**strip_prefix(arrays, "catalogue."))}


def batch_from_arrays(arrays: NamedArrays) -> Batch:
    """Build a batch from its arrays."""
    histories = Histories(**strip_prefix(arrays, "histories."))
    return Batch(histories, **{k: x for k, x in arrays.items() if not k.startswith("histories.")})


def sheet_json(sheet: GoldenSheet) -> str:
    """Return the content of a golden file as JSON text, with one array on each line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {array_json(x)}" for name, x in sheet.arrays.items())
    stem, numbers = json.dumps(sheet.stem), json.dumps(sheet.numbers)
    return f'{{\n "stem": {stem},\n "numbers": {numbers},\n "arrays": {{\n{lines}\n }}\n}}\n'


def array_json(x: AnyArray) -> str:
    """Return an array as JSON text: shape, dtype, and the numbers in C order."""
    words = {"shape": list(x.shape), "dtype": x.dtype.name, "values": x.reshape(-1).tolist()}
    return json.dumps(words, allow_nan=False)


def sheet_from_json(text: str) -> GoldenSheet:
    """Return the content of a golden file from its JSON text."""
    read = json.loads(text)
    arrays = {
        name: np.array(x["values"], x["dtype"]).reshape(x["shape"])
        for name, x in read["arrays"].items()
    }
    return GoldenSheet(read["stem"], read["numbers"], arrays)


def sheet_safetensors(sheet: GoldenSheet) -> bytes:
    """Return a golden file as safetensors bytes. Stem and numbers are JSON in the metadata."""
    words = json.dumps({"stem": sheet.stem, "numbers": sheet.numbers})
    arrays = {name: np.ascontiguousarray(x) for name, x in sheet.arrays.items()}
    arrays = {name: x.reshape(sheet.arrays[name].shape) for name, x in arrays.items()}
    return save(arrays, metadata={"mindref": words})


def sheet_from_safetensors(path: Path) -> GoldenSheet:
    """Return the content of a safetensors file; the order of the arrays is not kept."""
    with safe_open(path, framework="np") as file:
        words = json.loads(file.metadata()["mindref"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    return GoldenSheet(words["stem"], words["numbers"], arrays)
