"""Whether a file for serving answers as the reference does, on users of the log.

The reference is the backend `numpy` in the type of the run. It computes a second time in the other
type, which says how much of a difference is rounding alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import load_backend
from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.data.rng import make_rng
from mindref.data.splits import slice_rows
from mindref.errors import MindrefError, RunError, say
from mindref.models.parameters import Catalogue, flatten, unflatten
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recommender.serving import ServedModel
from mindref.shapes import Array, Bools

FLOAT32 = 2e-5
"""How far interests in float32 may lie apart, in parts of the user's largest entry: one formula
evaluated in two orders, some hundred roundings (SAME_MATH in specs/numerics.md)."""

MAGNIFIED = 8.0
"""How many times the reference's own rounding comes on top of it. Where capsules are nearly alike,
each round of routing magnifies what rounding made of them, by a factor that only the model knows:
with 100 rounds on MovieLens-1M float32 was 3e-4 off float64 for the reference, 5e-4 for the file.
Both are the worst of many users, so they differ by a small factor and never by eight."""

BLOCK = 256  # users at a time, the last time fewer: the file has to take both
OLDER = 3  # behaviours before the window, which must not count
NOTHING = (-1, 2**62)  # what stands in padded places: ids of no catalogue

Run = Callable[..., tuple[Array, Bools]]


class CheckedUsers(NamedTuple):
    """Users to ask, the last one without behaviours and without a known profile."""

    histories: Ragged
    profiles: Ints  # (C, G)
    origin: str  # where the histories are from
    warnings: list[str]


class ExportCheck(NamedTuple):
    """How far a file is from the reference."""

    users: int  # besides the one without behaviours
    histories: str  # where they are from
    agrees: bool
    difference: float  # largest one, in parts of the user's largest entry
    allowed: float  # the most there may be
    absolute: float  # largest one of two entries
    active_differ: int  # interests that one calls active and the other does not


def sample_users(served: ServedModel, users: int) -> CheckedUsers:
    """Return at most so many users of the log, or drawn histories where the log cannot be had."""
    rng = make_rng(served.model.config.seed, "probe", 1)
    try:
        names = served.log.user_ids
        chosen = np.sort(rng.choice(len(names), min(users, len(names)), replace=False))
        histories, profiles, _ = served.encode_users([names[i] for i in chosen])
        origin, warnings = "users of the log", []
    except MindrefError as error:
        histories, profiles = draw_histories(served, users, rng)
        origin, warnings = "drawn histories", [f"{error}. The file is checked on drawn histories"]
    nobody = served.unknown_profile(1)
    rows = Ragged(np.append(histories.offsets, histories.offsets[-1]), histories.values)
    return CheckedUsers(rows, np.concatenate([profiles, nobody]), origin, warnings)


def draw_histories(
    served: ServedModel, users: int, rng: np.random.Generator
) -> tuple[Ragged, Ints]:
    """Return histories of popular items, of all lengths that matter, and profiles of any kind."""
    weights = np.array(served.items.counts, float) + 1
    lengths = rng.integers(served.model.config.window + OLDER + 1, size=users)
    values = rng.choice(len(weights), lengths.sum(), p=weights / weights.sum())
    histories = Ragged(np.concatenate([[0], np.cumsum(lengths)]), values.astype(np.int64))
    sizes = [1 + len(values) for values in served.vocabulary.values.values()]
    profiles = served.unknown_profile(users) + rng.integers(sizes, size=(users, len(sizes)))
    return histories, profiles


def check_export(run: Run, model: Model, users: CheckedUsers) -> ExportCheck:
    """Compare what a file answers with the reference. Raises RunError for a broken reference."""
    true, rounded = (
        reference_interests(which, users) for which in (model, other_dtype_model(model))
    )
    for which in (true, rounded):  # a file holds float32
        if not np.isfinite(which.vectors).all():
            expected = "finite numbers in float32"
            raise RunError(say("interests of the run", expected, "others", "train it again"))
    exported, active = exported_interests(run, model.config.window, users)
    shape = (exported.shape, active.shape) == (true.vectors.shape, true.active.shape)
    difference, rounding = np.inf, relative_difference(rounded.vectors, true.vectors)
    if shape:
        difference = relative_difference(exported, true.vectors)
    allowed = FLOAT32 + MAGNIFIED * rounding
    differ = int((active != true.active).sum()) if shape else true.active.size
    return ExportCheck(
        users=len(users.histories) - 1,
        histories=users.origin,
        agrees=bool(difference <= allowed) and differ == 0,  # NaN is no agreement
        difference=float(difference),
        allowed=float(allowed),
        absolute=float(np.abs(exported - true.vectors).max()) if shape else np.inf,
        active_differ=differ,
    )


def reference_interests(model: Model, users: CheckedUsers) -> Interests:
    """Return the interests that the reference has of the users."""
    return compute_interests(model, users.histories, users.profiles, load_backend("numpy"))


def other_dtype_model(model: Model) -> Model:
    """Return a model that computes in float32 instead of float64, or the other way round."""
    dtype = "float64" if model.config.dtype == "float32" else "float32"
    params = {name: x.astype(dtype) for name, x in flatten(model.params).items()}
    catalogue = Catalogue(model.catalogue.rows, model.catalogue.weights.astype(dtype))
    return Model(unflatten(params), catalogue, dataclasses.replace(model.config, dtype=dtype))


def exported_interests(run: Run, window: int, users: CheckedUsers) -> tuple[Array, Bools]:
    """Return what a file answers, block by block."""
    blocks = [run(*inputs) for inputs in input_blocks(users, window)]
    interests_, active = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return interests_, active


def input_blocks(users: CheckedUsers, window: int) -> Iterator[list[Any]]:
    """Yield the inputs of a file: histories longer than the window, and strange ids as padding."""
    for first in range(0, len(users.histories), BLOCK):
        which = np.arange(first, min(first + BLOCK, len(users.histories)))
        lengths = users.histories.lengths[which]
        rows = slice_rows(users.histories, which, np.zeros_like(lengths), lengths)
        places = min(int(lengths.max()), window + OLDER) + 1
        items, mask = pad_histories(rows, places)
        strange = np.resize(np.array(NOTHING), items.shape)
        profiles = [users.profiles[which]] if users.profiles.shape[1] else []
        yield [np.where(mask, items, strange), mask, *profiles]


def relative_difference(exported: Array, true: Array) -> float:
    """Return the largest difference of two entries, in parts of the user's largest one."""
    largest = np.abs(true).max(axis=(1, 2))
    difference = np.abs(exported - true).max(axis=(1, 2))
    return float((difference / np.where(largest > 0, largest, 1)).max())
