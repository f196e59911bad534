"""Setups: settings and inputs of reference and variant under which a difference appears."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.models import mind
from mindref.shapes import Array, Ints
from mindref.study import user_summary as outcomes
from mindref.study.variants.entries import Setup

if TYPE_CHECKING:
    from mindref.conformance.mutants.loader import BuiltModules
    from mindref.study.tracing import TrainingPair


def apply_setup(pair: TrainingPair, setup: Setup) -> TrainingPair:
    """Return the training pair with a setup applied."""
    config = dataclasses.replace(pair.config, **setup.config)
    pair = pair._replace(config=config)
    if setup.window:
        behaviours = np.flatnonzero(pair.batch.histories.mask[0])
        pair = select_behaviours(pair, behaviours[-setup.window :])
    if setup.pads:
        pair = pad_history(pair, setup.pads)
    return oppose_target(pair) if setup.opposed_target else pair


def serve_other_user(pair: TrainingPair, setup: Setup, built: BuiltModules | None) -> None:
    """Serve another user first, if the setup requires it."""
    if setup.other_user_first:
        outcomes.summarise_user(other_user(pair), built)


def describe_setup(pair: TrainingPair, setup: Setup, titles: Sequence[str] | None = None) -> str:
    """Return the setup as text; empty without a setup."""
    parts = [f"{name} = {value}" for name, value in setup.config.items()]
    if setup.pads:
        parts.append(f"{setup.pads} padded positions after the films")
    if setup.window:
        parts.append(f"routing receives the last {setup.window} films")
    if setup.other_user_first:
        parts.append("another user is served first")
    if setup.opposed_target:
        target = int(apply_setup(pair, setup).batch.target[0])
        name = outcomes.item_title(titles, target)
        parts.append(f"the target is {name}, the film with the most negative score")
    return "; ".join(parts)


def select_behaviours(pair: TrainingPair, positions: Ints) -> TrainingPair:
    """Return the pair with these positions of the history, in this order."""
    histories = pair.batch.histories
    selected = histories._replace(
        items=histories.items[:, positions],
        mask=histories.mask[:, positions],
        init_logits=histories.init_logits[:, positions],
    )
    return pair._replace(batch=pair.batch._replace(histories=selected))


def pad_history(pair: TrainingPair, count: int) -> TrainingPair:
    """Return the pair with padded positions, which contain items and logits."""
    histories = pair.batch.histories
    rng = np.random.default_rng(0)
    shape = (1, count, histories.init_logits.shape[2])
    logits = pair.config.sigma * rng.standard_normal(shape)
    wider = histories._replace(
        items=append_positions(histories.items, np.zeros((1, count), np.int64)),
        mask=append_positions(histories.mask, np.zeros((1, count), bool)),
        init_logits=append_positions(histories.init_logits, logits),
    )
    return pair._replace(batch=pair.batch._replace(histories=wider))


def append_positions(x: Any, positions: Any) -> Any:
    """Return an array with positions appended."""
    return np.concatenate([x, positions], axis=1)


def other_user(pair: TrainingPair) -> TrainingPair:
    """Return another user: the same length, each item half the catalogue further."""
    histories, items = pair.batch.histories, len(pair.catalogue.rows)
    other = histories._replace(items=(histories.items + items // 2) % items)
    return pair._replace(batch=pair.batch._replace(histories=other))


def oppose_target(pair: TrainingPair) -> TrainingPair:
    """Return the pair with a target whose most negative score dominates its best score."""
    users, active, _ = mind.interests(
        pair.params, pair.batch.histories, pair.catalogue, pair.config
    )
    ids = np.arange(len(pair.catalogue.rows))
    vectors: Array = mind.item_vectors(pair.params, ids, pair.catalogue)[0]
    scores = users[0][active[0]] @ vectors.T  # (K', N)
    target = np.argmax(-scores.min(axis=0) - np.abs(scores.max(axis=0)))
    batch = pair.batch._replace(target=np.array([target], pair.batch.target.dtype))
    return pair._replace(batch=batch)
