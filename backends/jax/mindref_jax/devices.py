"""The device of the backend, 64-bit dtypes, and the number of compiled programs.

Spec: specs/backend.md. By default, JAX disables 64-bit dtypes for the whole process. The backend
enables them only inside its calls, for float64 and ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from mindref.errors import BackendError, say

DEVICE_NAMES = ("cpu", "cuda", "auto")
MAX_PROGRAMS = 1000
"""Number of compiled programs after which all are dropped.

Each program maps memory, and the system limits the number of mappings of a process. The
conformance suite, which uses thousands of shapes, would exceed this limit.
"""

num_compiled = 0  # since the programs were last dropped


def count_compilation(event: str, seconds: float, **details: object) -> None:
    """Count one compilation of JAX."""
    global num_compiled
    num_compiled += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(count_compilation)


@contextmanager
def compute_on(device: jax.Device | None = None) -> Iterator[None]:
    """Compute with 64-bit dtypes on a device; None is the default device of JAX."""
    with jax.enable_x64(True), jax.default_device(device):
        yield
    drop_programs()


def drop_programs() -> None:
    """Drop all compiled programs if there are more than MAX_PROGRAMS."""
    global num_compiled
    if num_compiled > MAX_PROGRAMS:
        jax.clear_caches()
        num_compiled = 0


def find_device(name: str) -> jax.Device | None:
    """Return a device by its name, or None for "auto" (the default device of JAX).

    Raises BackendError for an unknown name, and if JAX finds no such device.
    """
    if name not in DEVICE_NAMES:
        raise BackendError(say("device", " or ".join(DEVICE_NAMES), repr(name)))
    if name == "auto":
        return None
    try:
        return jax.devices(name)[0]
    except RuntimeError as error:
        platforms = ", ".join(sorted({device.platform for device in jax.devices()}))
        todo = f"JAX finds {platforms}; install its package for the device, or choose another"
        raise BackendError(say("device", f"a device called {name}", "none", todo)) from error


def platform_name(device: jax.Device | None) -> str:
    """Return the name of a device, cpu or cuda; None is the default device of JAX."""
    platform = (device or jax.devices()[0]).platform
    return "cuda" if platform == "gpu" else str(platform)
