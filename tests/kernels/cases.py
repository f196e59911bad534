"""Questions to the backend `numba` and to the reference, and how their answers are compared.

Levels 2 and 3 are asked with worlds: the small ones of `tests.models.worlds`, and crowds, which are
large enough for several blocks of users, items and negatives, the last block of each not full.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Answer, Call
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.reference import plainly
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.layers import USERS
from mindref.kernels.fused.workspace import Workspace
from mindref.models import mind, parameters
from mindref.models.parameters import Catalogue, Sizes
from mindref.shapes import Array
from tests.models.worlds import World


def compiled(threads: int = 1) -> OfBackend:
    """Return the backend with buffers of its own."""
    backend = NumbaBackend()
    backend.kept = Workspace(threads)
    return OfBackend(backend)


def judged(call: Call, subject: OfBackend | None = None) -> None:
    """Hold an operator to the reference, within the error that its computation may have."""
    Judge(subject or compiled(), Precision.of(call.dtype.name), 0, 1.0).agree(call)


def agree(call: Call, subject: OfBackend | None = None, where: str = "") -> Answer:
    """Return the answer of the compiled code, which must be that of the reference."""
    got, expected = (subject or compiled()).answer(call), plainly(call)
    assert got.keys() == expected.keys(), where
    for name, x in expected.items():
        words = f"{where} {call.stem} {name}".strip()
        assert got[name].dtype == x.dtype, words
        if x.dtype.kind != "f":
            np.testing.assert_array_equal(got[name], x, err_msg=words)
            continue
        finite = np.abs(x[np.isfinite(x)])
        largest = float(finite.max()) if finite.size else 0.0
        near = {"rtol": same_math(x.dtype), "atol": same_math(x.dtype) * largest + VANISHING}
        np.testing.assert_allclose(got[name], x, **near, err_msg=words)
    return got


def questions(w: World) -> list[Call]:
    """Return what levels 2 and 3 are asked about a world: loss, interests, three steps."""
    params, catalogue = {"params": w.params}, {"catalogue": w.catalogue}
    one = {**params, "batch": w.batch, **catalogue}
    users = {**params, "histories": w.batch.histories, **catalogue}
    three = {**params, "batches": (w.batch, backwards(w.batch), w.batch), **catalogue}
    # with its usual epsilon Adam divides small gradients by themselves: all of them is rounding
    steps = {"config": dataclasses.replace(w.config, epsilon=0.1), "learning_rate": 0.05}
    return [
        Call("loss", one, {"config": w.config}),
        Call("interests", users, {"config": w.config}),
        Call("training", three, steps),
    ]


def backwards(batch: mind.Batch) -> mind.Batch:
    """Return a batch with its users in the opposite order."""
    histories = mind.Histories(*(x[::-1] for x in batch.histories))
    return batch._replace(
        histories=histories,
        target=batch.target[::-1],
        target_log_expected=batch.target_log_expected[::-1],
    )


def of_users(w: World, count: int) -> World:
    """Return the world with its first users alone."""
    histories = mind.Histories(*(x[:count] for x in w.batch.histories))
    batch = w.batch._replace(
        histories=histories,
        target=w.batch.target[:count],
        target_log_expected=w.batch.target_log_expected[:count],
    )
    return w._replace(batch=batch)


def against(w: World, negatives: list[int]) -> World:
    """Return the world with these negatives."""
    logs = np.linspace(-1, 0.5, len(negatives)).astype(w.config.dtype)
    ids = np.array(negatives, np.int64)
    return w._replace(batch=w.batch._replace(negatives=ids, negative_log_expected=logs))


def crowd(
    users: int = 2 * USERS + 2,
    *,
    items: int = 3000,
    negatives: int = 600,
    length: int = 20,
    **settings: Any,
) -> World:
    """Make a world of many users with 0 to `length` behaviours and items of one row each."""
    rng = np.random.default_rng(0)
    plain = {"interests": 5, "width": 7, "dtype": "float64", "profile_width": 2, "hidden": [9]}
    config = Config.of("default", {**plain, **settings})
    sizes = Sizes(items, items, profile_rows=5, profile_features=2)
    mask = np.arange(length) < rng.integers(0, length + 1, users)[:, None]
    ids = np.where(mask, rng.integers(0, items, mask.shape), -9)
    logits = rng.standard_normal((*mask.shape, config.interests)).astype(config.dtype)
    histories = mind.Histories(ids, mask, logits, rng.integers(0, 5, (users, 2)))
    drawn = rng.integers(0, items, users), rng.integers(0, items, negatives)
    logs = [rng.standard_normal(n).astype(config.dtype) for n in (users, negatives)]
    params = parameters.init(rng, config, sizes)
    params = params._replace(items=params.items * np.sqrt(config.width).astype(config.dtype))
    catalogue = Catalogue(np.arange(items)[:, None], np.ones((items, 1), config.dtype))
    return World(params, mind.Batch(histories, *drawn, *logs), catalogue, config, sizes)


def odd(x: Array, way: str) -> Array:
    """Return the numbers of x as they seldom lie in memory."""
    if way == "columns":
        found = np.asfortranarray(x)
    elif way == "apart":
        found = np.zeros((*x.shape, 2), x.dtype)[..., 0]
    else:
        found = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found
