"""A backend that is made from operator modules, a model module and an optimiser module.

Spec: specs/backend.md, levels 2 and 3. With the modules of mindref, this backend is the reference.
With an edited module, it is a mutant (a wrong implementation).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from mindref import ops
from mindref.backend import CONCURRENCY, OPERATORS, OPTIONS, Capabilities
from mindref.config import Config
from mindref.conformance.runner import scoring
from mindref.conformance.runner.claims import LEVELS
from mindref.models import mind, mind_plus
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    Params,
    copy_params,
    copy_tables,
    flatten,
    flatten_gradients,
)
from mindref.ops.embedding import RowGradient
from mindref.training import optimiser


class ComposedState(NamedTuple):
    """The state of a training: parameters and moments, which `step` changes in place."""

    params: Params
    moments: Any  # the state of the optimiser


class ComposedBackend:
    """A NumPy backend of all levels, with gradients derived by hand.

    `ops` has one member for each operator. `mind` and `mind_plus` have the functions of the modules
    in `mindref.models`, `optimiser` those of `mindref.training.optimiser`, and `scoring` the one of
    scoring.py. The backend claims `levels`.
    """

    def __init__(
        self,
        ops: Any,
        mind: Any,
        optimiser: Any,
        mind_plus: Any = mind_plus,
        scoring: Any = scoring,
        *,
        name: str = "composed",
        levels: tuple[str, ...] = tuple(LEVELS),
    ) -> None:
        self.ops, self.mind, self.optimiser, self.scoring = ops, mind, optimiser, scoring
        self.families = {"mind": mind, "mind_plus": mind_plus}
        self.name, self.levels = name, levels

    def capabilities(self) -> Capabilities:
        """Claim every operator and option, the families of the suite, and `self.levels`."""
        families = tuple(self.families)
        return Capabilities(
            OPERATORS, self.levels, options=OPTIONS, families=families, concurrency=CONCURRENCY
        )

    def to_numpy(self, x: Any) -> Any:
        """Return x, which is already a NumPy array."""
        return x

    def from_numpy(self, x: Any) -> Any:
        """Return x, which is already a NumPy array."""
        return x

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Gradients]:
        """Return the mean loss of `batch`, and the gradients with respect to all parameters."""
        family = self.families[config.model].FAMILY
        loss, saved = family.loss(params, batch, catalogue, config, self.ops)
        gradients: Gradients = family.backward(saved, ops=self.ops)
        return loss, gradients

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Any]:
        """Return the interests (B, K, D) of users, and a mask (B, K) of active interests."""
        family = self.families[config.model].FAMILY
        out, active, _ = family.interests(params, histories, catalogue, config, self.ops)
        return out, active

    def scores(self, interests: Any, active: Any, items: Any) -> Any:
        """Return the score (B, N) of each item for each user."""
        return self.scoring.score_items(interests, active, items)

    def init(self, params: Params, config: Config, moments: Any = None) -> ComposedState:
        """Return a state with copies of `params` and `moments`. The default moments are zero."""
        copies_of_params = copy_params(params)
        if moments is None:
            return ComposedState(copies_of_params, self.optimiser.init(flatten(copies_of_params)))
        step, first, second = moments
        return ComposedState(
            copies_of_params, optimiser.State(step, copy_tables(first), copy_tables(second))
        )

    def step(
        self,
        state: ComposedState,
        batch: Any,
        catalogue: Catalogue,
        config: Config,
        learning_rate: float,
    ) -> tuple[ComposedState, Any]:
        """Take one step of Adam, which changes arrays of `state`. Return the state and the loss."""
        loss, gradients = self.loss_and_gradients(state.params, batch, catalogue, config)
        gradient_arrays = flatten_gradients(gradients)
        if not np.isfinite(loss):  # optimiser-R14
            return state, loss
        if not all(map(squares_are_finite, gradient_arrays.values())):  # optimiser-R14
            return state, loss * np.nan
        params = flatten(state.params)
        moments = self.optimiser.update(
            params,
            gradient_arrays,
            state.moments,
            learning_rate=learning_rate,
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
            dense_rate=config.dense_rate,
        )
        return state._replace(moments=moments), loss

    def parameters(self, state: ComposedState) -> Params:
        """Return copies of the parameters. Later steps do not change the copies."""
        return copy_params(state.params)

    def moments(self, state: ComposedState) -> Any:
        """Return the moments (step, first, second), not copies. The next step overwrites them."""
        return state.moments


def squares_are_finite(gradient: Any) -> bool:
    """Return whether all squared elements of `gradient` are finite."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    return bool(np.isfinite(x * x).all())


@cache
def reference_model() -> ComposedBackend:
    """Return the reference implementation as a backend of all levels."""
    return ComposedBackend(ops, mind, optimiser, name="reference")
