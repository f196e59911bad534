"""The families of models that `mindref train` knows, and what one must have.

Spec: specs/model.md. A family is a module of this folder. Most are trained step by step, with
gradients derived by hand; some are fitted at once. All give vectors whose inner products with
items are the scores, or, if that cannot be, the scores themselves.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import mindref.ops as reference
from mindref.backend import OURS, Backend
from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import BackendError, ConfigError, say
from mindref.models.parameters import Tables

ROOMS = {
    "mind": "mind",
    "mind_plus": "mind_plus",
    "youtube_dnn": "youtube_dnn",
    "maxmf": "maxmf",
    "wals": "wals",
    "item_knn": "item_knn",
    "popularity": "popularity",
    "random": "chance",
}
"""Name of a family, as in the setting `model` -> its module here."""

FITTED = ("wals", "item_knn", "popularity", "random")
"""Families that are fitted at once."""


NUMBERS: dict[str, dict[str, dict[str, str]]] = {
    "wals": {
        "fit": {
            "factors": "width",
            "regularization": "regularization",
            "alpha": "confidence",
            "iterations": "sweeps",
        },
        "answer": {"decay": "fade"},
    },
    "item_knn": {
        "fit": {"similarity": "similarity", "neighbours": "neighbours", "k1": "k1", "b": "b"},
        "answer": {"decay": "fade"},
    },
}
"""Of families that are fitted: which setting says each number that they take."""

FEATURELESS = (*FITTED, "maxmf")
"""Families that know items and users by their ids alone."""

ROUTED = ("mind", "mind_plus")
"""Families that route, and so want initial logits."""


class Trained(Protocol):
    """A family that is trained step by step, and recalls items by vectors."""

    Params: type[Any]  # a NamedTuple of arrays, and layers; `items` is the table of items (V, D)

    def init(self, rng: Any, config: Config, sizes: Any) -> Any:
        """Draw initial parameters."""

    def loss(self, params: Any, batch: Any, catalogue: Any, config: Config, ops: Any) -> Any:
        """Map a batch to its mean loss (), and what backward needs."""

    def backward(self, saved: Any, d_out: float = 1.0, ops: Any = reference) -> Tables:
        """Return the gradient of the loss by every parameter."""

    def interests(
        self, params: Any, histories: Any, catalogue: Any, config: Config, ops: Any
    ) -> Any:
        """Map histories to interests (B, K, D), active (B, K), and what was saved on the way."""


class Fitted(Protocol):
    """A family that is fitted at once; it has `interests` and `items`, or `scores` alone.

    Its parameters are arrays by name, and what it is asked with are histories (C rows).
    """

    def fit(self, sequences: Ragged, sizes: Any, config: Config, **numbers: Any) -> dict[str, Any]:
        """Return the parameters for training sequences (T rows)."""


def family(name: str) -> Any:
    """Return the module of a family; its name is one that Config takes."""
    return importlib.import_module(f"mindref.models.{ROOMS[name]}")


def is_fitted(name: str) -> bool:
    """Return whether a family is fitted at once."""
    return name in FITTED


def numbers(config: Config, purpose: str) -> dict[str, Any]:
    """Return the numbers that a fitted family takes to `fit`, or to `answer`, by their names."""
    wanted = NUMBERS.get(config.model, {}).get(purpose, {})
    return {name: getattr(config, setting) for name, setting in wanted.items()}


def kind_of_params(name: str) -> type[Any]:
    """Return the type of the parameters of a family."""
    kind: type[Any] = dict if is_fitted(name) else family(name).Params
    return kind


def by_scores(model: Any) -> bool:
    """Return whether a family says scores, as it has no vectors whose products they are."""
    return hasattr(model, "scores")


def routed(config: Config) -> int:
    """Return for how many interests a behaviour has initial logits."""
    return config.interests if config.model in ROUTED else 0


class Completed:
    """The operators of a backend, and the reference's where it has none of that name.

    A backend must have the operators of MIND; the other families have some of their own.
    """

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name, None) or getattr(reference, name)


def check(backend: Backend, config: Config, *, several: bool = False) -> None:
    """Raise before anything is read if a family cannot be trained so.

    BackendError for a backend that knows MIND alone, ConfigError for several processes, and for
    features of a family that has nothing to make of them.
    """
    name = config.model
    if name == "mind":
        return
    operators(backend, config)  # model-R39
    where, todo = f"--model {name}", "train it alone"
    if name in ("wals", "item_knn"):
        from mindref.models.interactions import library

        library("nearest_neighbours")  # baselines-R4
    if several:
        raise ConfigError(say(where, "one process", "several", todo))
    if name == "maxmf" and config.loss == "full":
        raise ConfigError(say(f"{where}: loss", "sampled: its rank is counted by trials", "full"))
    for kind in ("item_features", "user_features"):
        if name in FEATURELESS and getattr(config, kind):
            got = ", ".join(getattr(config, kind))
            raise ConfigError(say(f"{where}: {kind}", "none: it knows ids alone", got))


def only_mind(config: Config, where: str) -> None:
    """Raise ConfigError for a model of another family, where MIND alone is known."""
    if config.model != "mind":  # model-R40
        raise ConfigError(say(where, "a run of the model mind", f"one of {config.model}"))


def operators(backend: Backend | None, config: Config) -> Any:
    """Return the operators with which a backend computes a family.

    Raises BackendError for families that it does not compute: of MIND alone others have a part.
    """
    if backend is None:
        return reference
    if config.model == "mind":
        return backend.ops
    if backend.name not in OURS:
        todo = f"MIND is what others compute; take --backend {' or '.join(OURS)}"
        where = f"backend {backend.name}"
        raise BackendError(say(where, "the model mind", f"the model {config.model}", todo))
    return Completed(backend.ops)
