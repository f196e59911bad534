"""A whole backend from its parts: operators, the composition of the model, an optimiser.

Spec: specs/backend.md, levels 2 and 3. With the unedited modules it is the reference itself; with
one of them edited it is a wrong variant of it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from mindref import ops
from mindref.backend import OPERATORS, OPTIONS, Capabilities
from mindref.config import Config
from mindref.conformance.judging.claims import LEVELS
from mindref.models import mind
from mindref.models.parameters import (
    Catalogue,
    Gradients,
    Params,
    copied,
    copies,
    flatten,
    flatten_gradients,
)
from mindref.ops.embedding import RowGradient
from mindref.training import optimiser


class State(NamedTuple):
    """What a training step depends on; the arrays belong to it."""

    params: Params
    moments: Any  # the optimiser's own


class Composed:
    """A backend of all three levels, each step of it in NumPy and derived by hand.

    `ops` has one member for each operator, `mind` is like `mindref.models.mind` and `optimiser`
    like `mindref.training.optimiser`; `levels` are those that it claims.
    """

    def __init__(
        self,
        ops: Any,
        mind: Any,
        optimiser: Any,
        *,
        name: str = "composed",
        levels: tuple[str, ...] = tuple(LEVELS),
    ) -> None:
        self.ops, self.mind, self.optimiser = ops, mind, optimiser
        self.name, self.levels = name, levels

    def capabilities(self) -> Capabilities:
        """Claim every operator with every option, and the levels that were asked for."""
        return Capabilities(OPERATORS, self.levels, options=OPTIONS)

    def to_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x

    def from_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Gradients]:
        """Return the mean loss of a batch and its gradient by every parameter."""
        loss, saved = self.mind.loss(params, batch, catalogue, config, self.ops)
        return loss, self.mind.backward(saved, ops=self.ops)

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> tuple[Any, Any]:
        """Return the interests of users (B, K, D) and which of them are active (B, K)."""
        out, active, _ = self.mind.interests(params, histories, catalogue, config, self.ops)
        return out, active

    def init(self, params: Params, config: Config, moments: Any = None) -> State:
        """Return the state before the first step, or after those of `moments`, with copies."""
        own = copied(params)
        if moments is None:
            return State(own, self.optimiser.init(flatten(own)))
        step, first, second = moments
        return State(own, optimiser.State(step, copies(first), copies(second)))

    def step(
        self, state: State, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
    ) -> tuple[State, Any]:
        """Take one step of Adam; the arrays of `state` are changed in place."""
        loss, gradients = self.loss_and_gradients(state.params, batch, catalogue, config)
        named = flatten_gradients(gradients)
        if not np.isfinite(loss):  # optimiser-R14
            return state, loss
        if not all(map(squares_are_finite, named.values())):  # optimiser-R14
            return state, loss * np.nan
        moments = self.optimiser.update(
            flatten(state.params),
            named,
            state.moments,
            learning_rate=learning_rate,
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
        )
        return state._replace(moments=moments), loss

    def parameters(self, state: State) -> Params:
        """Return copies of the parameters, which later steps leave alone."""
        return copied(state.params)

    def moments(self, state: State) -> Any:
        """Return the moments of a state, good until the next step."""
        return state.moments


def squares_are_finite(gradient: Any) -> bool:
    """Return whether the squares of a gradient are finite, also of the numbers of `bounds`."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    return bool(np.isfinite(x * x).all())


@cache
def reference_model() -> Composed:
    """Return the reference itself, of all three levels."""
    return Composed(ops, mind, optimiser, name="reference")
