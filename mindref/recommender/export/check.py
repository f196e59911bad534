"""Comparison of an exported file with the reference, on users of the log.

The reference is the backend `numpy` in the dtype of the run. It is evaluated a second time in the
other dtype. The difference of the two is the rounding error, from which the bound is computed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mindref.backend import load_backend
from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.data.rng import make_rng
from mindref.errors import MindrefError, RunError, say
from mindref.models.parameters import Catalogue, flatten, unflatten
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recommender.serving.served_model import ServedModel
from mindref.shapes import Array, Bools

FLOAT32 = 2e-5
"""Allowed difference of interests in float32, relative to the user's largest entry. One formula is
evaluated in two orders, with some hundred roundings (SAME_MATH in specs/numerics.md)."""

MAGNIFIED = 8.0
"""Factor of the reference's rounding error, added to the allowed difference. If capsules are
almost equal, each iteration of routing magnifies rounding errors by a factor that depends on the
model. With 100 iterations on MovieLens-1M, the error of float32 was 3e-4 for the reference and 5e-4
for the file. Both are maxima over many users, so they differ by a small factor, far less than 8."""

BLOCK = 256  # users per block; the last block is smaller, so both sizes are tested
OLDER = 3  # behaviours before the window, which must be ignored
NOTHING = (-1, 2**62)  # ids in padded positions, which are not in the catalogue

RunTower = Callable[..., tuple[Array, Bools]]
"""Function from items (B, L), mask (B, L) and optional profile (B, G) to interests and active."""


class CheckedUsers(NamedTuple):
    """Users of the comparison; the last has no behaviours and an unknown profile."""

    histories: Ragged
    profiles: Ints  # (C, G)
    origin: str  # origin of the histories
    warnings: list[str]


class ExportCheck(NamedTuple):
    """Result of the comparison of a file with the reference."""

    users: int  # apart from the one without behaviours
    histories: str  # origin of the histories
    agrees: bool
    difference: float  # largest one, relative to the user's largest entry
    allowed: float  # bound of the difference
    absolute: float  # largest absolute difference of two entries
    active_differ: int  # interests that are active in only one of the two


def sample_checked_users(served: ServedModel, users: int) -> CheckedUsers:
    """Return at most `users` users of the log.

    If the log cannot be read, they have drawn profiles and histories of at most window + OLDER
    items.
    """
    rng = make_rng(served.model.config.seed, "probe", 1)
    try:
        names = served.log.user_ids
        chosen = np.sort(rng.choice(len(names), min(users, len(names)), replace=False))
        behaviours, profiles, _ = served.encode_users([names[i] for i in chosen])
        histories = served.servable.select(behaviours)
        origin, warnings = "users of the log", []
    except MindrefError as error:
        lengths = rng.integers(served.model.config.window + OLDER + 1, size=users)
        histories = served.draw_histories(rng, lengths)
        sizes = [1 + len(values) for values in served.vocabulary.values.values()]
        profiles = served.unknown_profile(users) + rng.integers(sizes, size=(users, len(sizes)))
        origin, warnings = "drawn histories", [f"{error}. The file is checked on drawn histories"]
    nobody = served.unknown_profile(1)
    rows = Ragged(np.append(histories.offsets, histories.offsets[-1]), histories.values)
    return CheckedUsers(rows, np.concatenate([profiles, nobody]), origin, warnings)


def check_export(run: RunTower, model: Model, users: CheckedUsers) -> ExportCheck:
    """Return the comparison of a file with the reference.

    Raises RunError if the interests of the reference are not finite.
    """
    true = reference_interests(model, users)
    rounded = reference_interests(other_dtype_model(model), users)
    for reference in (true, rounded):  # a file holds float32
        if not np.isfinite(reference.vectors).all():
            expected = "finite numbers in float32"
            raise RunError(say("interests of the run", expected, "others", "train it again"))
    servable_rows = ServableItems.of(model.catalogue).to_rows(users.histories)
    exported_users = users._replace(histories=servable_rows)
    exported, active = exported_interests(run, model.config.window, exported_users)
    difference = absolute = np.inf
    active_differ = true.active.size
    if (exported.shape, active.shape) == (true.vectors.shape, true.active.shape):
        difference = largest_relative_difference(exported, true.vectors)
        absolute = float(np.abs(exported - true.vectors).max())
        active_differ = int((active != true.active).sum())
    rounding = largest_relative_difference(rounded.vectors, true.vectors)
    allowed = FLOAT32 + MAGNIFIED * rounding
    return ExportCheck(
        users=len(users.histories) - 1,  # without the one that has no behaviours
        histories=users.origin,
        agrees=difference <= allowed and active_differ == 0,  # False for NaN
        difference=difference,
        allowed=allowed,
        absolute=absolute,
        active_differ=active_differ,
    )


def reference_interests(model: Model, users: CheckedUsers) -> Interests:
    """Return the interests of the users, computed by the reference."""
    return compute_interests(model, users.histories, users.profiles, load_backend("numpy"))


def other_dtype_model(model: Model) -> Model:
    """Return the model in float64 if it is in float32, else in float32."""
    dtype = "float64" if model.config.dtype == "float32" else "float32"
    params = {name: x.astype(dtype) for name, x in flatten(model.params).items()}
    catalogue = Catalogue(model.catalogue.rows, model.catalogue.weights.astype(dtype))
    config = dataclasses.replace(model.config, dtype=dtype)
    return Model(unflatten(params, type(model.params)), catalogue, config)


def exported_interests(run: RunTower, window: int, users: CheckedUsers) -> tuple[Array, Bools]:
    """Return interests and active of a file, computed in blocks.

    The histories are longer than the window, and padded with invalid ids.
    """
    blocks = []
    for first in range(0, len(users.histories), BLOCK):
        which = np.arange(first, min(first + BLOCK, len(users.histories)))
        rows = users.histories.take(which)
        length = min(int(rows.lengths.max()), window + OLDER) + 1
        items, mask = pad_histories(rows, length)
        invalid_ids = np.resize(np.array(NOTHING), items.shape)
        profiles = [users.profiles[which]] if users.profiles.shape[1] else []
        blocks.append(run(np.where(mask, items, invalid_ids), mask, *profiles))
    interests, active = zip(*blocks, strict=True)
    return np.concatenate(interests), np.concatenate(active)


def largest_relative_difference(exported: Array, true: Array) -> float:
    """Return the largest difference of two entries, relative to the user's largest entry."""
    largest = np.abs(true).max(axis=(1, 2))
    difference = np.abs(exported - true).max(axis=(1, 2))
    return float((difference / np.where(largest > 0, largest, 1)).max())
