"""WALS: factors of users and items by weighted alternating least squares.

Spec: specs/baselines.md. Source: Hu, Koren, Volinsky, ICDM 2008, as Li et al., CIKM 2019, compare
with it; `implicit` fits. Differs: user factors are not stored. They are computed from the history
in closed form. Recent behaviours can have larger weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

import numpy as np

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, say
from mindref.models.family import FittedFamily
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import FittedParams, Sizes, check_shapes
from mindref.process.requirements import install_extra
from mindref.process.threads import one_blas_thread
from mindref.shapes import Array, Bools


def import_implicit() -> ModuleType:
    """Return the module of `implicit` that fits. Raises ConfigError if it is not installed."""
    try:
        return import_module("implicit.cpu.als")
    except ImportError as error:  # baselines-R4
        expected, todo = "the package implicit, which fits wals", install_extra("baselines")
        raise ConfigError(say("model", expected, "none installed", todo)) from error


def fit_wals(sequences: Ragged, sizes: Sizes, config: Config) -> FittedParams:
    """Return the factors of items (N, D) float32, and regularization and alpha, () each.

    An item of the history has confidence alpha, any other item 1. Initial values depend on
    config.seed. Raises ConfigError if the package `implicit` is not installed, or if the least
    squares have no unique solution. An example is regularization 0 with more factors than items.
    """
    make = import_implicit().AlternatingLeastSquares
    weights = interaction_weights(sequences, sizes.items)
    # with several threads the order of sums depends on the machine (baselines-R1)
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make(
            factors=config.width,
            regularization=config.regularization,
            alpha=config.confidence,
            iterations=config.sweeps,
            use_cg=False,  # exact solves, as in `fold_in`
            num_threads=1,
            random_state=make_rng(config.seed, "parameters"),
        )
        try:
            model.fit(weights, show_progress=False)  # baselines-R13
        except ValueError as error:  # implicit: the solve failed
            raise unsolvable_error(config.regularization) from error
    return {
        "items": np.ascontiguousarray(model.item_factors, np.float32),
        "regularization": np.array(config.regularization, np.float64),
        "alpha": np.array(config.confidence, np.float64),
    }


def item_factors(arrays: FittedParams) -> Array:
    """Return the factors of items (N, D)."""
    factors: Array = arrays["items"]
    return factors


def user_factors(arrays: FittedParams, histories: Ragged, config: Config) -> tuple[Array, Bools]:
    """Map histories (C rows) to the factors of their users (C, 1, D) and active (C, 1), all true.

    The confidence of an item of the history is alpha decay^r, where r behaviours follow it and
    decay is `history_decay`. Raises ShapeError for an item outside the catalogue, ConfigError if
    the least squares have no unique solution.
    """
    factors = arrays["items"]
    weights = interaction_weights(histories, len(factors), decay=config.history_decay)
    confidence = weights * float(arrays["alpha"])
    exact = factors.astype(np.float64)
    gram = exact.T @ exact + float(arrays["regularization"]) * np.eye(exact.shape[1])
    users = np.zeros((len(histories), 1, exact.shape[1]), factors.dtype)
    for case in range(len(histories)):  # baselines-R2: one solve per user
        part = slice(*confidence.indptr[case : case + 2])
        met = exact[confidence.indices[part]]
        try:
            users[case, 0] = fold_in(gram, met, confidence.data[part])
        except np.linalg.LinAlgError as error:
            raise unsolvable_error(float(arrays["regularization"])) from error
    return users, np.ones(users.shape[:2], np.bool_)


def fold_in(gram: Array, met: Array, confidence: Array) -> Array:
    """Return the factors (D,) of a user whose items have factors (n, D) and confidences (n,).

    Solves (Y'Y + Y'(C - I) Y + reg I) x = Y'C p. gram is Y'Y + reg I; p is 1 for the user's items
    and 0 otherwise. Only the n items of the user contribute to C - I and C p.
    """
    left = gram + met.T @ ((confidence - 1)[:, None] * met)  # baselines-R14
    return np.linalg.solve(left, met.T @ confidence)  # baselines-R15: zeros without items


def unsolvable_error(regularization: float) -> ConfigError:
    """Return the error for least squares without a unique solution."""
    expected = "as much as makes the least squares solvable, or fewer factors (width)"
    return ConfigError(say("regularization", expected, regularization))


def check_factors(arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless the arrays are parameters of WALS for `items` items."""
    width = (*(arrays["items"].shape if "items" in arrays else ()), 0, 0)[1]
    check_shapes(arrays, {"items": (items, width), "regularization": (), "alpha": ()})


FAMILY = FittedFamily(
    name="wals",
    fit=fit_wals,
    interests=user_factors,
    items=item_factors,
    check_arrays=check_factors,
    require_packages=import_implicit,  # baselines-R4
    memory=lambda config, sizes: config.width * (sizes.users + sizes.items),
)
