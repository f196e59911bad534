"""The interface of a model family for training, run files and serving.

Spec: specs/model.md. A family is one object, the constant FAMILY of its module in this folder. Most
families are trained by steps with gradients derived by hand (SteppedFamily); some are fitted in one
call (FittedFamily). A family gives user and item vectors whose inner products are the scores, or
the scores themselves. Names and settings are in mindref.models.registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mindref.backend import BUILT_IN, Backend
from mindref.config import Config
from mindref.data.log import Ints, Ragged
from mindref.errors import BackendError, ConfigError, say
from mindref.models import registry
from mindref.models.din_config import DinConfig
from mindref.models.parameters import FittedParams, Sizes, Tables
from mindref.ops import REFERENCE, Operator, Operators
from mindref.shapes import Array, Bools

FamilyConfig = Config | DinConfig
"""Settings of any family that is trained by steps."""


class Draw(NamedTuple):
    """Source of a batch, for families that add fields to the common batch."""

    rng: np.random.Generator  # generator of the step, after the draws of the common batch
    rows: Ints  # (B,) training row of each example
    sequences: Ragged  # all training sequences
    sizes: Sizes
    config: Config


@dataclass(frozen=True)
class SparseScores:
    """Scores (C, N) of histories, of which few items of a case differ from those of other cases."""

    entries: Any  # sparse matrix by rows (C, N), float64, none below `base_scores`
    base_scores: Array  # (N,) score of an item without an entry
    order: Ints  # (N,) items by falling base score, ties by the lower id

    @property
    def shape(self) -> tuple[int, int]:
        """(C, N)."""
        return len(self.entries.indptr) - 1, len(self.base_scores)

    def take_items(self, items: Ints) -> SparseScores:
        """Return the scores of some items, whose ids ascend."""
        position = np.full(len(self.order), -1)
        position[items] = np.arange(len(items))
        order = position[self.order]
        return SparseScores(self.entries[:, items], self.base_scores[items], order[order >= 0])

    def to_dense(self) -> Array:
        """Return the scores as an array (C, N)."""
        scores = np.tile(self.base_scores, (self.shape[0], 1))
        cases = np.repeat(np.arange(self.shape[0]), np.diff(self.entries.indptr))
        scores[cases, self.entries.indices] = self.entries.data
        return scores


@dataclass(frozen=True, kw_only=True)
class Family:
    """Base class: the attributes of every family."""

    name: str  # as in the setting `model`
    params: type[Any] = dict  # NamedTuple of arrays and layers, or dict
    init: Callable[..., Any] = lambda rng, config, sizes: {}
    """(rng, config, sizes) -> parameters before the first step."""
    routes: bool = False  # has initial logits and coupling weights
    reads_features: bool = True  # of items and users; else only ids
    in_contract: bool = False  # every backend of level 2 or 3 computes it (specs/backend.md)
    check_config: Callable[[Config], None] = lambda config: None  # raises ConfigError
    require_packages: Callable[[], object] = lambda: None  # raises ConfigError

    by_steps: ClassVar[bool]  # trained by steps, else fitted in one call
    reranks: ClassVar[bool] = False  # scores candidates of a recall run, else the whole catalogue

    @property
    def summary(self) -> str:
        """Description of the family in one line."""
        return registry.BY_NAME[self.name].summary

    @property
    def has_vectors(self) -> bool:
        """Whether scores are inner products of user and item vectors, which an index can search."""
        return not self.reranks and getattr(self, "scores", None) is None

    def num_logits(self, config: Config) -> int:
        """Return the number of initial logits of a behaviour: K, or 0 if the family has none."""
        return config.interests if self.routes else 0


@dataclass(frozen=True, kw_only=True)
class SteppedFamily(Family):
    """A family that is trained by steps. Its parameters have the item table, `items` (V, D)."""

    by_steps: ClassVar[bool] = True

    params: type[Any] = field()  # required; NamedTuple
    init: Callable[..., Any] = field()  # required
    loss: Callable[..., tuple[Array, Any]]  # (params, batch, catalogue, config, ops) -> (), saved
    backward: Callable[..., Tables]  # (saved, d_out, ops=) -> gradient of every parameter
    interests: Callable[..., tuple[Array, Bools, Any]] | None = None
    """(params, histories, catalogue, config, ops) -> (B, K, D), active (B, K), saved."""
    project: Callable[[Any, Any], None] | None = None  # (params, gradients): after a step, in place
    make_batch: Callable[[Any, Draw], Any] = lambda common, draw: common
    """Return the batch of the family from the common one (mind.Batch)."""
    history_length: Callable[[FamilyConfig], int] = lambda config: int(config.window)
    """Return how many behaviours of a training history are laid out in the batch."""
    num_vectors: Callable[[Config], int] = lambda config: int(config.interests)
    """Return K, the number of vectors of a user, active or not."""


@dataclass(frozen=True, kw_only=True)
class RerankFamily(SteppedFamily):
    """A family that is trained on candidates of a recall run, and reranks them."""

    reranks: ClassVar[bool] = True  # the user vector depends on the candidate


@dataclass(frozen=True, kw_only=True)
class FittedFamily(Family):
    """A family that is fitted in one call. Its parameters are arrays by name.

    It has `interests` and `items` (vectors), or `scores`; each takes histories (C rows).
    """

    by_steps: ClassVar[bool] = False

    fit: Callable[[Ragged, Sizes, Config], FittedParams]  # of training sequences (T rows)
    check_arrays: Callable[[Mapping[str, Array], int], None]  # raises ValueError; items N
    interests: Callable[[FittedParams, Ragged, Config], tuple[Array, Bools]] | None = None
    items: Callable[[FittedParams], Array] | None = None  # parameters -> item vectors (N, D)
    scores: Callable[[FittedParams, Ragged, Config], Array | SparseScores] | None = None  # (C, N)
    fit_needed: Callable[[Ragged, Sizes, Config, Ints], FittedParams] | None = None
    """Fit only the parameters that histories with these items need: faster, for one evaluation."""
    reads_whole_history: bool = False  # `scores` get more than the last `window` behaviours
    memory: Callable[[Config, Sizes], int] = lambda config, sizes: 0
    """Return about how many numbers a fit keeps, if they are many."""
    reads_features: bool = False


def family_of(name: str) -> Any:
    """Return the family object of a name in the registry; its module is imported on first use."""
    return import_module(f"mindref.models.{registry.BY_NAME[name].module}").FAMILY


class CompletedOperators:
    """The operators of a backend; an operator that the backend lacks is the reference's.

    A backend must have the operators of MIND. Other families need further operators.
    """

    def __init__(self, ops: Operators) -> None:
        self.ops = ops

    def __getattr__(self, name: str) -> Operator:
        operator: Operator = getattr(self.ops, name, None) or getattr(REFERENCE, name)
        return operator


def settings_without_effect(config: Config) -> set[str]:
    """Return the settings of MIND and mind_plus that other settings make ineffective."""
    ineffective = {
        "power": config.attention != "label",
        "hidden": config.head == "none",
        "last_relu": config.head == "none",
    }
    return {name for name, value in ineffective.items() if value}


def check_trainable(backend: Backend, config: Config, *, several: bool = False) -> None:
    """Check, before any data is read, that the family can be trained with these settings.

    Raises BackendError for a backend that does not compute the family. Raises ConfigError for
    several processes if the backend does not compute the step, for features that the family does
    not read, and for a missing package.
    """
    family: Family = family_of(config.model)
    if config.adam == "dense" and several:
        raise ConfigError(say("--adam dense", "one process", "several", "use --adam lazy"))
    if family.in_contract:
        return
    operators_of(backend, config)  # model-R39
    family.require_packages()
    subject = f"--model {family.name}"
    if several and not backend_computes(backend, config, "train"):  # model-R73
        todo = "run it without torchrun, or choose --model mind"
        raise ConfigError(say(subject, "one process", "several", todo))
    family.check_config(config)
    for kind in ("item_features", "user_features"):
        if not family.reads_features and getattr(config, kind):
            got = ", ".join(getattr(config, kind))
            # model-R74
            raise ConfigError(say(f"{subject}: {kind}", "none: it uses only ids", got))


def backend_computes(backend: Backend | None, config: FamilyConfig, level: str) -> bool:
    """Return whether a backend computes this level ("model" or "train") of the model itself."""
    if backend is None:
        return False
    if level == "train" and config.adam == "dense":
        return False  # optimiser-R21: the steps of backends update only rows with a gradient
    claims = backend.capabilities()
    claimed = level in claims.levels and config.model in claims.families
    return claimed and computes_settings(backend, config)


def computes_settings(backend: Backend, config: FamilyConfig) -> bool:
    """Return whether levels 2 and 3 compute a claimed family with these settings.

    A backend must compute MIND with all settings. For another family, the method `computes_family`
    may leave settings to the operators.
    """
    computes_family = getattr(backend, "computes_family", None)  # backend-R20
    if computes_family is None or family_of(config.model).in_contract:
        return True
    return bool(computes_family(config))


def require_contract_family(config: Config, subject: str) -> None:
    """Raise ConfigError unless the model is MIND, the family of the backend contract."""
    if not family_of(config.model).in_contract:  # model-R40
        expected = "a run of the model mind"
        todo = "train one with mindref train --preset mind"
        raise ConfigError(say(subject, expected, f"one of {config.model}", todo))


def operators_of(backend: Backend | None, config: FamilyConfig) -> Operators:
    """Return the operators with which a backend computes a family.

    Raises BackendError for a backend of another package that does not compute the family.
    """
    if backend is None:
        return REFERENCE
    if family_of(config.model).in_contract:
        return backend.ops
    if backend.name not in BUILT_IN and not backend_computes(backend, config, "model"):  # model-R39
        families = backend.capabilities().families
        expected = f"the model {' or '.join(families)}"
        todo = f"choose --backend {BUILT_IN[1]} or --model mind"
        if config.model in families:
            expected = f"settings of {config.model} that this backend computes"
        subject = f"backend {backend.name}"
        raise BackendError(say(subject, expected, f"the model {config.model}", todo))
    return CompletedOperators(backend.ops)
