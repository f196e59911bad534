"""A small world to write pages from: parameters drawn, not trained, one training pair."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from mindref.study.page.data_blocks import encode_array
from mindref.study.tracing import TrainingPair, trace_pair
from tests.study.pairs import TARGET, make_random_pair

ITEMS = 60
TITLES = [f"The {adjective} {noun}" for adjective in ("Lost", "Quiet", "Iron", "Paper", "Winter",
          "Silver") for noun in ("Harbour", "Ferry", "Orchard", "Engine", "Lantern", "Bees", "Tide",
          "Map", "Garden", "Clock")]  # fmt: skip


def make_page_pair(seed: int = 1, **changes: Any) -> TrainingPair:
    """Return a pair without a profile; its iterations differ because its items are long."""
    sizes = {"length": 10, "items": ITEMS, "num_negatives": 20, "profile_features": 0, "scale": 3.0}
    settings = {"width": 16, "hidden": (32,), "window": 10, "negatives": 20}
    return make_random_pair(seed, **{**sizes, **settings, **changes})


def trace_to_dict(
    one: TrainingPair, titles: list[str] | None = None, **metadata: Any
) -> dict[str, Any]:
    """Return the trace as the page takes it."""
    told = {
        "model": "drawn, not trained",
        "user": "u17",
        "chosen": "the only one",
        "target": (titles or TITLES)[TARGET],
        "config": one.config.to_dict(),
        "dtype": "float64",
        "seed": 1,
    }
    content: dict[str, Any] = json.loads(
        trace_pair(one, metadata=told | metadata, titles=titles or TITLES).to_json()
    )
    return content


def array(tensor: dict[str, Any]) -> Any:
    """Return the numbers of a tensor of a trace or of a view, flat."""
    kind = np.dtype(tensor.get("dtype", "float64")).newbyteorder("<")
    return np.frombuffer(base64.b64decode(tensor["data"]), kind)


def flip_bit(text: str, data: str, byte: int) -> str:
    """Return a page with one bit of one byte of an array changed; data: the array in base64."""
    raw = bytearray(base64.b64decode(data))
    raw[byte % len(raw)] ^= 1
    now, after = (json.dumps(encode_array(x)[0]) for x in (data, base64.b64encode(raw).decode()))
    assert text.count(now) == 1
    return text.replace(now, after)


def tensors(trace: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tensor["name"]: tensor for step in trace["steps"] for tensor in step["outputs"]}
