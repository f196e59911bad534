"""The backend `jax`: operators in JAX, differentiated by JAX.

Spec: specs/backend.md. JAX is imported at the first access to `ops` or a level.
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
    """All three levels, on the default device of JAX or on another device."""

    name = "jax"

    def __init__(self, device: Any = None) -> None:
        self.device = device  # a device of JAX, or None

    def on(self, device: str) -> JaxBackend:
        """Return the backend on "cpu", "cuda", or "auto" (the default device of JAX).

        Raises BackendError if JAX finds no such device.
        """
        try:
            devices = load_module("devices")
        except ModuleNotFoundError as error:
            todo = "pip install 'mindref[jax]', or ./backends/jax in a checkout"
            raise BackendError(say("backend jax", "JAX", error, todo)) from error
        return JaxBackend(devices.find_device(device))

    @property
    def device_name(self) -> str:
        """The device in use: cpu or cuda."""
        name: str = load_module("devices").platform_name(self.device)
        return name

    @property
    def ops(self) -> Any:
        """The operators as functions of NumPy arrays."""
        return load_module("arrays").make_operators(self.device)

    def capabilities(self) -> Capabilities:
        """Return all operators with all default options, and all three levels."""
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train"),
            gradients="automatic",
            devices=("cpu", "cuda"),  # backend-R16: the devices that `on` accepts
        )

    def differentiate(
        self, stem: str, arrays: Sequence[Array], numbers: Mapping[str, Any], d_out: Array
    ) -> list[Any]:
        """Return the gradients of the differentiable arguments, in the order of the page."""
        gradients: list[Any] = load_module("arrays").differentiate(
            stem, arrays, numbers, d_out, self.device
        )
        return gradients

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return the loss of a batch and all gradients; gradients of tables are row gradients."""
        with load_module("devices").compute_on(self.device):
            return load_module("level_model").loss_and_gradients(params, batch, catalogue, config)

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return interests (B, K, D) and the mask of active interests (B, K)."""
        with load_module("devices").compute_on(self.device):
            return load_module("level_model").interests(params, histories, catalogue, config)

    def init(self, params: Params, config: Config, moments: Any = None) -> Any:
        """Return the initial state, or the state that continues from `moments`."""
        with load_module("devices").compute_on(self.device):
            return load_module("level_train").init(params, config, moments)

    def step(
        self, state: Any, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
    ) -> Any:
        """Take one training step; return the next state and the loss. The old state is invalid."""
        with load_module("devices").compute_on(self.device):
            return load_module("level_train").step(state, batch, catalogue, config, learning_rate)

    def parameters(self, state: Any) -> Any:
        """Return the parameters of a state without a copy, valid until the next step."""
        return load_module("level_train").parameters(state)

    def moments(self, state: Any) -> Any:
        """Return the moments of a state without a copy, valid until the next step."""
        return load_module("level_train").moments(state)

    def to_numpy(self, x: Any) -> Any:
        """Return a copy of a JAX array as a NumPy array."""
        return load_module("arrays").copy_to_numpy(x)

    def from_numpy(self, x: Array) -> Any:
        """Return a copy of an array as a JAX array of the same dtype."""
        with load_module("devices").compute_on(self.device):
            return load_module("arrays").copy_to_jax(x)


def load_module(name: str) -> Any:
    """Return a module of this package; imports JAX."""
    return importlib.import_module(f"mindref_jax.{name}")
