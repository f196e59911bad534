"""The backend `jax`: operators in JAX, differentiated by JAX.

Spec: specs/backend.md. JAX is imported when `ops` or a gradient is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from mindref.backend import OPERATORS, Capabilities
from mindref.config import Config
from mindref.errors import BackendError, say
from mindref.models.parameters import Catalogue, Params
from mindref.shapes import Array


class JaxBackend:
    """All three levels, where JAX computes by itself or on a device that was asked for."""

    name = "jax"

    def __init__(self, device: Any = None) -> None:
        self.device = device  # of JAX

    def on(self, device: str) -> JaxBackend:
        """Return this backend on "cpu", "cuda", or "auto": what JAX takes by itself.

        Raises BackendError where JAX finds no such device.
        """
        try:
            devices = part("devices")
        except ModuleNotFoundError as error:
            todo = "pip install 'mindref[jax]', or ./backends/jax in a checkout"
            raise BackendError(say("backend jax", "JAX", error, todo)) from error
        return JaxBackend(devices.device_of(device))

    @property
    def device_name(self) -> str:
        """Where it computes: cpu or cuda."""
        found: str = part("devices").name_of(self.device)
        return found

    @property
    def ops(self) -> Any:
        """The operators, from NumPy arrays to NumPy arrays."""
        return part("arrays").ops(self.device)

    def capabilities(self) -> Capabilities:
        """Claim every operator with every option, the model and the training step."""
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train"),
            gradients="automatic",
            devices=("cpu", "cuda"),  # backend-R16: those that `on` knows, where JAX finds them
        )

    def differentiate(
        self, stem: str, arrays: Sequence[Array], numbers: Mapping[str, Any], d_out: Array
    ) -> list[Any]:
        """Return the gradients of the arguments that the page lists, in its order."""
        found: list[Any] = part("arrays").differentiate(stem, arrays, numbers, d_out, self.device)
        return found

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return the loss of a batch and all gradients, by rows for the tables."""
        with part("devices").computing(self.device):
            return part("level_model").loss_and_gradients(params, batch, catalogue, config)

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return interests (B, K, D) and which are active (B, K)."""
        with part("devices").computing(self.device):
            return part("level_model").interests(params, histories, catalogue, config)

    def init(self, params: Params, config: Config, moments: Any = None) -> Any:
        """Return the state before the first step, or after those of `moments`."""
        with part("devices").computing(self.device):
            return part("level_train").init(params, config, moments)

    def step(
        self, state: Any, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
    ) -> Any:
        """Take one step, which uses the state up; return the next state and the loss."""
        with part("devices").computing(self.device):
            return part("level_train").step(state, batch, catalogue, config, learning_rate)

    def parameters(self, state: Any) -> Any:
        """Return the parameters of a state: its own, good until the next step."""
        return part("level_train").parameters(state)

    def moments(self, state: Any) -> Any:
        """Return the moments of a state: its own, good until the next step."""
        return part("level_train").moments(state)

    def to_numpy(self, x: Any) -> Any:
        """Return an array of JAX as one of NumPy, in memory of its own."""
        return part("arrays").fetched(x)

    def from_numpy(self, x: Array) -> Any:
        """Return a copy of an array as one of JAX, of the same type."""
        with part("devices").computing(self.device):
            return part("arrays").placed(x)


def part(name: str) -> Any:
    """Return a module of this package, and JAX with it."""
    return importlib.import_module(f"mindref_jax.{name}")
