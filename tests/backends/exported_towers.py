"""Models of every option, their reference, and runs of an exported user tower."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from mindref.backend import load_backend
from mindref.config import Config
from mindref.conformance.tolerances import same_math
from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.models.family import family_of
from mindref.models.parameters import Catalogue, Sizes
from mindref.models.serving import Interests, Model, compute_interests
from mindref.models.tower import with_keyed_logits
from mindref.presets import PRESETS
from mindref.shapes import Array, Bools

ITEMS, FIELDS, PROFILES, WINDOW = 40, 3, 7, 12
UNTRAINED = (3, 17, 39)
"""Items without a vector: they have no row in the exported matrix (model-R43)."""

LENGTHS = (0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 30)
GIVEN_NUMBERS = {"epochs": 0, "dropout_by_density": False}
"""With a preset as changes: its steps and dropout are given numbers."""

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "behaviours": {
        "routing_axis": "behaviours", "squash": "none", "hidden": (), "iterations": 3,
    },
    "unit": {"squash": "unit", "normalise": True, "sigma": 1.0, "iterations": 1, "score": "sum"},
    "fixed": {"interest_count": "fixed", "hidden": (12, 10), "last_relu": True, "sigma": 0.0},
    "uniform": {
        "routing": "uniform", "routing_axis": "behaviours", "user_features": (), "logits": "fixed",
    },
    "one_interest": {"interests": 1, "logits": "per_call", "dtype": "float64"},
    "paper": {**PRESETS["paper"], "window": WINDOW, "interests": 7},
    "recommended": {
        **PRESETS["recommended"], **GIVEN_NUMBERS, "sigma": 0.5, "window": WINDOW,
    },
    "item_votes": {"model": "mind_plus", "votes": "items", "normalise": True, "power": 0.0},
    "residual": {"model": "mind_plus", "head": "residual", "contexts": 2, "recency": "shared"},
}  # fmt: skip
"""Settings of MIND and mind_plus."""

YOUTUBE: dict[str, dict[str, Any]] = {
    "youtube": {"model": "youtube_dnn"},
    "youtube_recency": {
        "model": "youtube_dnn", "recency": "shared", "normalise": True, "last_relu": True,
        "user_features": (), "dtype": "float64",
    },
}  # fmt: skip

RunFile = Callable[..., tuple[Array, Bools]]


def make_model(features: int, **changes: Any) -> Model:
    """Return a model with random parameters, side features and items without a vector."""
    config = Config.of("mind", {"width": 8, "hidden": (16,), "window": WINDOW, **changes})
    rng = np.random.default_rng(3)
    sizes = Sizes(ITEMS, ITEMS + 9, PROFILES if features else 0, features)
    rows = np.column_stack([np.arange(ITEMS), rng.integers(ITEMS, ITEMS + 9, (ITEMS, FIELDS - 1))])
    weights = np.full(rows.shape, 1 / FIELDS, config.dtype)
    weights[list(UNTRAINED)] = 0
    params = family_of(config.model).init(rng, config, sizes)
    biases = [layer._replace(bias=layer.bias + 0.3) for layer in params.layers]
    params = params._replace(layers=tuple(biases))
    if config.model == "youtube_dnn":  # log weights start at zero
        drawn = rng.standard_normal(params.positions.shape).astype(config.dtype)
        params = params._replace(positions=drawn)
    return Model(params, Catalogue(rows, weights), config)


def make_histories() -> Ragged:
    """Return histories of length zero up to more than the window, in dense ids."""
    rng = np.random.default_rng(4)
    servable = np.delete(np.arange(ITEMS), UNTRAINED)
    return Ragged.of([rng.choice(servable, n) for n in LENGTHS])


def exported_rows(histories: Ragged) -> Ragged:
    """Return histories in rows of the exported item matrix."""
    servable = np.delete(np.arange(ITEMS), UNTRAINED)
    return Ragged(histories.offsets, np.searchsorted(servable, histories.values))


def make_profiles(features: int, count: int) -> Ints:
    return np.random.default_rng(5).integers(PROFILES, size=(count, features))


def run_file(file: RunFile, histories: Ragged, rows: Ints, places: int | None = None) -> Any:
    """Return the output of a file; padding contains ids outside the catalogue."""
    longest = int(histories.lengths.max(initial=0))
    columns = max(1, longest if places is None else places)
    items, mask = pad_histories(exported_rows(histories), columns)
    items = np.where(mask, items, np.resize([-1, 2**62, -ITEMS, ITEMS], items.shape))
    return file(items, mask, *([rows] if rows.shape[1] else []))


def interleave_padding(items: Ints, mask: Any, *rows: Ints) -> tuple[Any, ...]:
    """Return the same behaviours with padding between them."""
    return np.repeat(items, 2, axis=1), np.kron(mask, [False, True]).astype(bool), *rows


def assert_same_interests(interests: Any, expected: Interests) -> None:
    """Fail unless the interests equal those of the reference up to rounding of float32."""
    vectors, active = interests
    assert (vectors.dtype, active.dtype) == (np.float32, np.bool_)
    assert (vectors.shape, active.shape) == (expected.vectors.shape, expected.active.shape)
    assert (active == expected.active).all()
    assert not vectors[~active].any()
    largest = np.abs(expected.vectors).max(axis=(1, 2), keepdims=True)
    difference = np.abs(vectors - expected.vectors) / np.where(largest > 0, largest, 1)
    assert difference.max() <= same_math("float32")


@cache
def reference_interests(options: str) -> tuple[Model, Ints, Interests]:
    """Return a model of these options, profiles, and the interests of the users."""
    changes = {"user_features": ("a", "b"), **{**OPTIONS, **YOUTUBE}[options]}
    features = len(changes["user_features"])
    model = with_keyed_logits(make_model(features, **changes))
    rows = make_profiles(features, len(LENGTHS))
    return model, rows, compute_interests(model, make_histories(), rows, load_backend("numpy"))


def assert_file_matches_reference(file: RunFile, options: str) -> None:
    """Fail unless a file has the interests of the reference, for many shapes of its inputs."""
    _, rows, expected = reference_interests(options)
    histories = make_histories()  # the longest is longer than the window
    assert_same_interests(run_file(file, histories, rows), expected)
    assert_same_interests(run_file(file, histories, rows, 57), expected)

    def interleaved(*inputs: Any) -> Any:
        return file(*interleave_padding(*inputs))

    assert_same_interests(run_file(interleaved, histories, rows), expected)
    for user in (0, 1, 5, 10):  # one user, without padding
        one = Interests(expected.vectors[[user]], expected.active[[user]], None, rows, rows)
        assert_same_interests(run_file(file, histories.take([user]), rows[[user]]), one)
    profile = [rows[:1]] if rows.shape[1] else []
    empty = Interests(expected.vectors[:1], expected.active[:1], None, rows, rows)
    without_columns = file(np.zeros((1, 0), np.int64), np.zeros((1, 0), bool), *profile)
    assert_same_interests(without_columns, empty)
    profile = [rows[:0]] if rows.shape[1] else []
    vectors, active = file(np.zeros((0, 4), np.int64), np.zeros((0, 4), bool), *profile)
    assert vectors.shape == (0, *expected.vectors.shape[1:])
    assert active.shape == (0, expected.active.shape[1])
