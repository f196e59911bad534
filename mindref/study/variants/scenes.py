"""What has to be set up, for the reference and the variant alike, so that a difference shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.models import mind
from mindref.shapes import Array
from mindref.study import outcome as outcomes
from mindref.study.variants.entries import Scene

if TYPE_CHECKING:
    from mindref.conformance.variants.loader import Built
    from mindref.study.run import Given


def set_up(given: Given, scene: Scene) -> Given:
    """Return the user in the scene."""
    config = dataclasses.replace(given.config, **scene.config)
    given = given._replace(config=config)
    if scene.pads:
        given = padded(given, scene.pads)
    return against(given) if scene.against else given


def before(given: Given, scene: Scene, built: Built | None) -> None:
    """Serve another user first, if the scene wants that."""
    if scene.before:
        outcomes.outcome(neighbour(given), built)


def said(given: Given, scene: Scene, titles: Sequence[str] | None = None) -> str:
    """Say what was set up; empty where nothing was."""
    parts = [f"{name} = {value}" for name, value in scene.config.items()]
    if scene.pads:
        parts.append(f"{scene.pads} padded places after the behaviours")
    if scene.before:
        parts.append("another user was served before")
    if scene.against:
        target = int(set_up(given, scene).batch.target[0])
        name = outcomes.title(titles, target)
        parts.append(f"the target is {name}, which an interest speaks against most")
    return "; ".join(parts)


def padded(given: Given, count: int) -> Given:
    """Return the user with padded places: items and logits stand there, and must not matter."""
    histories = given.batch.histories
    rng = np.random.default_rng(0)
    shape = (1, count, histories.init_logits.shape[2])
    logits = given.config.sigma * rng.standard_normal(shape)
    wider = histories._replace(
        items=wide(histories.items, np.zeros((1, count), np.int64)),
        mask=wide(histories.mask, np.zeros((1, count), bool)),
        init_logits=wide(histories.init_logits, logits),
    )
    return given._replace(batch=given.batch._replace(histories=wider))


def wide(x: Any, more: Any) -> Any:
    """Return places with more places after them."""
    return np.concatenate([x, more], axis=1)


def neighbour(given: Given) -> Given:
    """Return another user: as many behaviours, each half the catalogue further on."""
    histories, items = given.batch.histories, len(given.catalogue.rows)
    other = histories._replace(items=(histories.items + items // 2) % items)
    return given._replace(batch=given.batch._replace(histories=other))


def against(given: Given) -> Given:
    """Return the user with the target whose worst score is largest, compared with its best."""
    users, active, _ = mind.interests(
        given.params, given.batch.histories, given.catalogue, given.config
    )
    ids = np.arange(len(given.catalogue.rows))
    vectors: Array = mind.item_vectors(given.params, ids, given.catalogue)[0]
    scores = users[0][active[0]] @ vectors.T  # (K', N)
    target = np.argmax(-scores.min(axis=0) - np.abs(scores.max(axis=0)))
    batch = given.batch._replace(target=np.array([target], given.batch.target.dtype))
    return given._replace(batch=batch)
