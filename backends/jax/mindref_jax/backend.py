"""The backend `jax`: operators in JAX, differentiated by JAX.

Spec: specs/backend.md. JAX is imported at the first access to `ops` or a level.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mindref.backend import OPERATORS, OPTIONS, SUBNORMAL, Capabilities, FrameworkBackend
from mindref.errors import BackendError, say
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    import jax


class JaxBackend(FrameworkBackend):
    """All levels, on the default device of JAX or on another device."""

    name, package = "jax", "mindref_jax"

    def __init__(self, device: jax.Device | None = None) -> None:
        self.device = device

    def load_function(self, name: str) -> Callable[..., Any]:
        """Return a function of this package, with 64-bit dtypes on the device; imports JAX."""
        from mindref_jax.devices import compute_on

        return compute_on(self.device)(super().load_function(name))

    def on(self, device: str) -> JaxBackend:
        """Return the backend on "cpu", "cuda", or "auto" (the default device of JAX).

        Raises BackendError if JAX finds no such device.
        """
        try:
            from mindref_jax.devices import find_device
        except ModuleNotFoundError as error:
            todo = "pip install 'jax>=0.10'"
            raise BackendError(say("backend jax", "JAX", error, todo)) from error
        return JaxBackend(find_device(device))

    @property
    def device_name(self) -> str:
        """The device in use: cpu or cuda."""
        from mindref_jax.devices import platform_name

        return platform_name(self.device)

    @property
    def ops(self) -> SimpleNamespace:
        """The operators as functions of NumPy arrays."""
        from mindref_jax.arrays import make_operators

        return make_operators(self.device)

    def capabilities(self) -> Capabilities:
        """Return all operators with all options, and all levels."""
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train", "serve"),
            gradients="automatic",
            devices=("cpu", "cuda"),  # backend-R16: the devices that `on` accepts
            options=tuple(rule for rule in OPTIONS if rule != SUBNORMAL),
            families=("mind", "mind_plus"),
            concurrency=("threads",),  # JAX warns that a fork may hang
        )

    def scores(self, interests: Array, active: Bools, items: Array) -> jax.Array:
        """Return the score (B, N) of each item: the maximum over the active interests."""
        return self.load_function("scoring.score_arrays")(interests, active, items)

    def to_numpy(self, x: jax.Array) -> Array:
        """Return a copy of a JAX array as a NumPy array."""
        return self.load_function("arrays.copy_to_numpy")(x)

    def from_numpy(self, x: Array) -> jax.Array:
        """Return a copy of an array as a JAX array of the same dtype."""
        return self.load_function("arrays.copy_to_jax")(x)
