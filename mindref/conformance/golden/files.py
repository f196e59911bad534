"""Calls and answers as arrays by name, in JSON and in safetensors with the same numbers.

An array has the name "case/arrays/history", "case/d_out" or "case/answer/d_history"; the parts of
parameters and batches have dotted names, such as "case/arrays/params.layers.0.weight".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from mindref.config import Config
from mindref.conformance.judging.call import Answer, Anything, Call, leaves
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, unflatten

Named = dict[str, Anything]
SETTINGS = (
    *("interests", "width", "iterations", "interest_count", "routing", "routing_axis"),
    *("routing_gradient", "squash", "hidden", "last_relu", "attention", "power", "loss"),
    *("temperature", "normalise", "profile_width", "beta1", "beta2", "epsilon", "dtype"),
)
"""Settings that a call at level 2 or 3 depends on."""


class Case(NamedTuple):
    """A call with its frozen answer."""

    call: Call
    answer: Answer


class Sheet(NamedTuple):
    """All that a file holds."""

    stem: str
    numbers: dict[str, dict[str, Any]]  # case -> keyword arguments
    arrays: Named


def sheet_of(stem: str, cases: dict[str, Case]) -> Sheet:
    """Return the content of a file."""
    arrays: Named = {}
    for name, (call, answer) in cases.items():
        parts: dict[str, Any] = {"arrays": call.arrays, "answer": answer}
        arrays |= {
            f"{name}/{kind}/{k}": x for kind, p in parts.items() for k, x in leaves(p).items()
        }
        if call.cotangent is not None:
            arrays[f"{name}/d_out"] = call.cotangent
    return Sheet(stem, {name: plain(case.call.numbers) for name, case in cases.items()}, arrays)


def plain(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments as values of JSON; infinity becomes the word inf."""
    found = {k: "inf" if v == float("inf") else v for k, v in numbers.items() if k != "config"}
    if "config" in numbers:
        settings = numbers["config"].to_dict()
        found["config"] = {k: settings[k] for k in SETTINGS}
    return found


def cases_of(sheet: Sheet) -> dict[str, Case]:
    """Return the calls and answers of a file."""
    return {name: case_of(sheet, name) for name in sheet.numbers}


def case_of(sheet: Sheet, case: str) -> Case:
    """Return one call with its answer."""
    mine = {
        k.removeprefix(f"{case}/"): x for k, x in sheet.arrays.items() if k.startswith(f"{case}/")
    }
    arrays, answer = below(mine, "arrays/"), below(mine, "answer/")
    numbers = dict(sheet.numbers[case])
    if numbers.get("power") == "inf":
        numbers["power"] = float("inf")
    if "config" in numbers:
        numbers["config"] = Config.of("default", numbers["config"])
        arrays = nested(arrays)
    return Case(Call(sheet.stem, arrays, numbers, mine.get("d_out")), answer)


def below(named: Named, prefix: str) -> Named:
    """Return the arrays whose names begin so, under the rest of their names."""
    return {k.removeprefix(prefix): x for k, x in named.items() if k.startswith(prefix)}


def nested(named: Named) -> dict[str, Any]:
    """Return parameters, batches and catalogue as what they were before their names were joined."""
    found: dict[str, Any] = {"params": unflatten(below(named, "params."))}
    if "histories.items" in named:
        found["histories"] = Histories(**below(named, "histories."))
    if "batch.target" in named:
        found["batch"] = batch_of(below(named, "batch."))
    steps = sorted({name.split(".")[1] for name in named if name.startswith("batches.")})
    if steps:
        found["batches"] = tuple(batch_of(below(named, f"batches.{i}.")) for i in steps)
    return found | {"catalogue": Catalogue(**below(named, "catalogue."))}


def batch_of(named: Named) -> Batch:
    """Return a batch."""
    histories = Histories(**below(named, "histories."))
    return Batch(histories, **{k: x for k, x in named.items() if not k.startswith("histories.")})


def as_json(sheet: Sheet) -> str:
    """Return a file as JSON, one array a line; floats have all their digits."""
    lines = ",\n".join(f"  {json.dumps(name)}: {described(x)}" for name, x in sheet.arrays.items())
    stem, numbers = json.dumps(sheet.stem), json.dumps(sheet.numbers)
    return f'{{\n "stem": {stem},\n "numbers": {numbers},\n "arrays": {{\n{lines}\n }}\n}}\n'


def described(x: Anything) -> str:
    """Return shape, type and numbers of an array, the last axis fastest."""
    words = {"shape": list(x.shape), "dtype": x.dtype.name, "values": x.reshape(-1).tolist()}
    return json.dumps(words, allow_nan=False)


def from_json(text: str) -> Sheet:
    """Return what `as_json` wrote."""
    read = json.loads(text)
    arrays = {
        name: np.array(x["values"], x["dtype"]).reshape(x["shape"])
        for name, x in read["arrays"].items()
    }
    return Sheet(read["stem"], read["numbers"], arrays)


def as_safetensors(sheet: Sheet) -> bytes:
    """Return a file as safetensors; keyword arguments stand in its metadata as JSON."""
    words = json.dumps({"stem": sheet.stem, "numbers": sheet.numbers})
    arrays = {name: np.ascontiguousarray(x) for name, x in sheet.arrays.items()}
    arrays = {name: x.reshape(sheet.arrays[name].shape) for name, x in arrays.items()}
    return save(arrays, metadata={"mindref": words})


def from_safetensors(path: Path) -> Sheet:
    """Return what `as_safetensors` wrote; the order of arrays is not kept."""
    with safe_open(path, framework="np") as file:
        words = json.loads(file.metadata()["mindref"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    return Sheet(words["stem"], words["numbers"], arrays)
