"""A small world to write pages from: parameters drawn, not trained, one training pair."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Sizes, catalogue_of_ids, init
from mindref.study.page.data_blocks import encode_array
from mindref.study.tracing import TrainingPair, trace_pair

ITEMS, LENGTH, WIDTH, NEGATIVES, INTERESTS = 60, 10, 16, 20, 4
TITLES = [f"The {adjective} {noun}" for adjective in ("Lost", "Quiet", "Iron", "Paper", "Winter",
          "Silver") for noun in ("Harbour", "Ferry", "Orchard", "Engine", "Lantern", "Bees", "Tide",
          "Map", "Garden", "Clock")]  # fmt: skip


def make_page_pair(seed: int = 1, **changes: Any) -> TrainingPair:
    """Return what a computation is given; `changes` are settings."""
    settings = {
        "interests": INTERESTS,
        "width": WIDTH,
        "window": LENGTH,
        "iterations": 3,
        "sigma": 1.0,
        "routing_gradient": "all",
        "power": 2.0,
        "hidden": (32,),
        "dtype": "float64",
        "negatives": NEGATIVES,
    }
    config = Config.of(changes=settings | changes)
    rng = np.random.default_rng(seed)
    params = init(rng, config, Sizes(ITEMS, ITEMS, 0, 0))
    params = params._replace(items=3 * params.items)  # so that rounds differ
    history = rng.permutation(ITEMS)[None, :LENGTH]
    logits = rng.standard_normal((1, LENGTH, config.interests))
    profile = np.zeros((1, 0), np.int64)
    histories = mind.Histories(history, np.ones((1, LENGTH), bool), logits, profile)
    target = np.array([7])
    negatives = rng.integers(0, ITEMS, NEGATIVES)
    negatives[3] = target[0]  # an accidental hit
    expected = np.log(rng.uniform(0.1, 1, NEGATIVES))
    batch = mind.Batch(histories, target, negatives, np.log(np.array([0.3])), expected)
    return TrainingPair(params, batch, catalogue_of_ids(ITEMS, "float64"), config)


def trace_to_dict(
    one: TrainingPair, titles: list[str] | None = None, **metadata: Any
) -> dict[str, Any]:
    """Return the trace as the page takes it."""
    told = {
        "model": "drawn, not trained",
        "user": "u17",
        "chosen": "the only one",
        "target": (titles or TITLES)[7],
        "config": one.config.to_dict(),
        "dtype": "float64",
        "seed": 1,
    }
    found: dict[str, Any] = json.loads(
        trace_pair(one, metadata=told | metadata, titles=titles or TITLES).to_json()
    )
    return found


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
    """Return every tensor of a trace by its name."""
    return {tensor["name"]: tensor for step in trace["steps"] for tensor in step["outputs"]}
