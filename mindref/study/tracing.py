"""Trace a training pair: forward, backward, one step of the optimiser, serving.

The trace is in float64, whatever the dtype of the training was. Every number can then be
recomputed to 1e-12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Catalogue, Params, flatten, flatten_gradients
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model, item_matrix, normalise_vectors
from mindref.study.placeholders import TraceContext
from mindref.study.record import InstrumentedReference, Recorder, instrument_reference
from mindref.study.top_items import find_top_items
from mindref.study.trace import Trace
from mindref.study.trace_builder import build_trace

MAX_DISPLAYED_ITEMS = 200  # items in the trace of serving
TOP_ITEMS = 10


class TrainingPair(NamedTuple):
    """The inputs of the loss in float64: one user, one training pair."""

    params: Params
    batch: mind.Batch
    catalogue: Catalogue
    config: Config


def trace_pair(
    pair: TrainingPair,
    *,
    metadata: dict[str, Any] | None = None,
    titles: Sequence[str] | None = None,
    copies: InstrumentedReference | None = None,
    phases: Sequence[str] = ("forward", "backward", "update", "serve"),
) -> Trace:
    """Return the trace of a training pair.

    metadata: JSON values about the user and the model; titles: one for each item, default numbers.
    copies: instrumented modules of a mutant; default: of the reference.
    """
    modules, record = copies or instrument_reference()
    record.events.clear()
    params, batch, catalogue, config = pair
    _, saved = modules.mind.loss(*pair, ops=modules.ops)
    displayed = displayed_items(pair)
    context = make_context(pair, displayed)
    if "backward" in phases:
        gradients = modules.mind.backward(saved, d_out=float(len(batch.target)), ops=modules.ops)
        if "update" in phases:
            take_adam_step(modules.optimiser, params, gradients, config)
    if "serve" in phases:
        active = saved.interests.active[0]
        vectors = next(e.arrays["out"] for e in record.events if e.name == "interests.active")[0]
        items, _ = mind.item_vectors(params, displayed, catalogue)
        vectors, items = normalise_vectors(vectors, config), normalise_vectors(items, config)
        served = find_top_items(vectors, active, items, n=context.top, score=config.score)
        record("serve", interests=vectors, items=items, **served._asdict())
    return build_trace(
        record.events, context, metadata or {}, make_labels(pair, titles, displayed, record)
    )


def take_adam_step(adam: Any, params: Params, gradients: Any, config: Config) -> None:
    """Take one step of Adam from zero moments, on copies of the parameters."""
    arrays = {name: x.copy() for name, x in flatten(params).items()}
    adam.update(
        arrays,
        flatten_gradients(gradients),
        adam.init(arrays),
        learning_rate=config.learning_rate,
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
    )


def make_context(pair: TrainingPair, displayed: Any) -> TraceContext:
    """Return the sizes and settings that the table of steps refers to."""
    config, params = pair.config, pair.params
    features = pair.batch.histories.profile.shape[1]
    profile = (features, params.profile.shape[1]) if features else (0, 0)
    rounds = config.iterations if config.routing == "dynamic" else 1
    top = min(TOP_ITEMS, len(pair.catalogue.rows))
    width = params.bilinear.shape[0]
    sizes = (len(pair.catalogue.rows), len(displayed), pair.catalogue.rows.shape[1])
    return TraceContext(config, rounds, len(params.layers), width, profile, 1, top, *sizes)


def displayed_items(pair: TrainingPair) -> Any:
    """Return the items in the trace of serving.

    A small catalogue is displayed whole; of a large catalogue, the best items and the target.
    Items without a vector are not displayed.
    """
    params, batch, catalogue, config = pair
    ids = ServableItems.of(catalogue).ids
    if len(ids) <= MAX_DISPLAYED_ITEMS:
        return ids
    vectors, active, _ = mind.interests(params, batch.histories, catalogue, config)
    items = item_matrix(Model(params, catalogue, config))[ids]
    served = normalise_vectors(vectors[0], config)
    top = find_top_items(served, active[0], items, n=MAX_DISPLAYED_ITEMS - 1, score=config.score)
    return np.union1d(ids[top.order], batch.target[:1])


def make_labels(
    pair: TrainingPair, titles: Sequence[str] | None, displayed: Any, record: Recorder
) -> dict[str, list[str]]:
    """Return the labels of the axes that have titles."""
    batch = pair.batch

    def names(ids: Any) -> list[str]:
        return [titles[i] if titles else f"item {i}" for i in ids]

    mask, ids = batch.histories.mask[0], batch.histories.items[0]
    out = {
        "behaviour": [n if m else "(padding)" for n, m in zip(names(ids), mask, strict=True)],
        "interest": [f"interest {j + 1}" for j in range(pair.config.interests)],
        "negative": names(batch.negatives),
        "item": names(displayed),
        "target": names(batch.target[:1]),
    }
    rows = [e.arrays["rows"] for e in record.events if e.name == "gradients"]
    if rows:
        items = len(pair.catalogue.rows)
        titled = zip(names(np.minimum(rows[0], items - 1)), rows[0], strict=True)
        out["row"] = [name if row < items else f"feature {row - items}" for name, row in titled]
    return out
