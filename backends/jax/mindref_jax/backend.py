"""The backend `jax`: operators in JAX, differentiated by JAX.

Spec: specs/backend.md. JAX is imported at the first access to `ops` or a level.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from mindref.backend import OPTIONS, SUBNORMAL, Capabilities, FrameworkBackend


class JaxBackend(FrameworkBackend):
    """All levels, on the default device of JAX (None) or on another device."""

    name, package, framework, requirement = "jax", "mindref_jax", "JAX", "jax>=0.10"

    def load_function(self, name: str) -> Callable[..., Any]:
        """Return a function of this package, with 64-bit dtypes on the device; imports JAX."""
        from mindref_jax.devices import compute_on

        return compute_on(self.device)(super().load_function(name))

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
        """Return all operators with all options but subnormal numbers, and all levels."""
        options = tuple(rule for rule in OPTIONS if rule != SUBNORMAL)
        return super().capabilities()._replace(options=options)
