"""Trace a training pair: forward, backward, one step of the optimiser, serving.

All in float64, whatever the model was trained in: then a finite difference can be held against a
gradient, and every number has the digits to be recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as reference
from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Catalogue, Params, flatten, flatten_gradients, unflatten
from mindref.models.serving import Model, item_matrix, scaled
from mindref.study.build import build
from mindref.study.record import Recorder
from mindref.study.serve import serve
from mindref.study.trace import Trace
from mindref.study.words import About
from mindref.training import optimiser

SHOWN = 200  # items at the most that the step of serving shows
TOP = 10


class Given(NamedTuple):
    """What a computation is given: all in float64, one user, one training pair."""

    params: Params
    batch: mind.Batch
    catalogue: Catalogue
    config: Config


def trace_of(
    given: Given,
    *,
    facts: dict[str, Any] | None = None,
    titles: Sequence[str] | None = None,
    modules: Any = None,
    phases: Sequence[str] = ("forward", "backward", "update", "serve"),
) -> Trace:
    """Return the trace of a training pair.

    facts: what is said of the user and the model; titles: a name for each item, numbers without.
    modules: `mind`, `optimiser` and `ops` of a variant, in the place of the package's own.
    """
    model, adam = (modules.mind, modules.optimiser) if modules else (mind, optimiser)
    ops = modules.ops if modules else reference
    record = Recorder()
    params, batch, catalogue, config = given
    _, saved = model.loss(*given, ops=ops, record=record)
    shown = shortlist(given)
    about = about_of(given, shown)
    if "backward" in phases:
        gradients = model.backward(saved, d_out=float(len(batch.target)), ops=ops, record=record)
        if "update" in phases:
            move(adam, params, gradients, config, record)
    if "serve" in phases:
        active = saved.interests.active[0]
        vectors = next(e.arrays["out"] for e in record.events if e.name == "interests.active")[0]
        items, _ = mind.item_vectors(params, shown, catalogue)
        vectors, items = scaled(vectors, config), scaled(items, config)
        serve(vectors, active, items, n=about.top, score=config.score, record=record)
    return build(record.events, about, facts or {}, labels(given, titles, shown, record))


def move(adam: Any, params: Params, gradients: Any, config: Config, record: Recorder) -> None:
    """Take a step of the optimiser from zero moments, on copies."""
    named = {name: x.copy() for name, x in flatten(params).items()}
    adam.update(
        named,
        flatten_gradients(gradients),
        adam.init(named),
        learning_rate=config.learning_rate,
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
        record=record.part("update"),
    )


def about_of(given: Given, shown: Any) -> About:
    """Return what is known before the first step."""
    config, params = given.config, given.params
    features = given.batch.histories.profile.shape[1]
    profile = (features, params.profile.shape[1]) if features else (0, 0)
    rounds = config.iterations if config.routing == "dynamic" else 1
    top = min(TOP, len(given.catalogue.rows))
    width = params.bilinear.shape[0]
    sizes = (len(given.catalogue.rows), len(shown), given.catalogue.rows.shape[1])
    return About(config, rounds, len(params.layers), width, profile, 1, top, *sizes)


def shortlist(given: Given) -> Any:
    """Return the items that serving shows: all, or of a large catalogue those it would find.

    Those of the best scores, and the target.
    """
    params, batch, catalogue, config = given
    count = len(catalogue.rows)
    if count <= SHOWN:
        return np.arange(count)
    vectors, active, _ = mind.interests(params, batch.histories, catalogue, config)
    items = item_matrix(Model(params, catalogue, config))
    served = scaled(vectors[0], config)
    found = serve(served, active[0], items, n=SHOWN - 1, score=config.score)
    return np.union1d(found.order, batch.target[:1])


def labels(
    given: Given, titles: Sequence[str] | None, shown: Any, record: Recorder
) -> dict[str, list[str]]:
    """Return a name for each place of the axes that have names."""
    batch = given.batch

    def named(ids: Any) -> list[str]:
        return [titles[i] if titles else f"item {i}" for i in ids]

    mask, ids = batch.histories.mask[0], batch.histories.items[0]
    out = {
        "behaviour": [n if m else "(padding)" for n, m in zip(named(ids), mask, strict=True)],
        "interest": [f"interest {j + 1}" for j in range(given.config.interests)],
        "negative": named(batch.negatives),
        "item": named(shown),
        "target": named(batch.target[:1]),
    }
    rows = [e.arrays["rows"] for e in record.events if e.name == "gradients"]
    if rows:
        items = len(given.catalogue.rows)
        out["row"] = [
            n if r < items else f"feature {r - items}" for n, r in named_rows(rows[0], named, items)
        ]
    return out


def named_rows(rows: Any, named: Any, items: int) -> list[tuple[str, int]]:
    """Return a name and the number of each row of the table."""
    return list(zip(named(np.minimum(rows, items - 1)), rows, strict=True))


def in_float64(params: Params) -> Params:
    """Return parameters in float64."""
    return unflatten({name: x.astype(np.float64) for name, x in flatten(params).items()})
