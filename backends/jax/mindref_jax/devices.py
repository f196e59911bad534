"""Where JAX computes for the backend, and with which types.

Spec: specs/backend.md. JAX has its types of 64 bits off unless a program turns them on for all of
itself. That is not ours to do: they are on inside our calls only, for float64 and for ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from mindref.errors import BackendError, say

NAMES = ("cpu", "cuda", "auto")
MOST = 1000
"""Programs that are kept compiled. Each maps memory, and a process may have so many pieces of it:
a judge, who asks for thousands of shapes, would run into that limit."""

compiled = 0  # since the last time that all were dropped


def count(event: str, seconds: float, **facts: Any) -> None:
    """Count a program that JAX has compiled."""
    global compiled
    compiled += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(count)


@contextmanager
def computing(device: Any = None) -> Iterator[None]:
    """Compute with types of 64 bits, on a device; None is where JAX computes by itself."""
    with jax.enable_x64(True), jax.default_device(device):
        yield
    drop_programs()


def drop_programs() -> None:
    """Drop what is compiled when it has become too much; what is still needed is compiled anew."""
    global compiled
    if compiled > MOST:
        jax.clear_caches()
        compiled = 0


def device_of(name: str) -> Any:
    """Return a device by its name, or None for "auto": the one that JAX takes by itself.

    Raises BackendError for an unknown name, and where JAX finds no such device.
    """
    if name not in NAMES:
        raise BackendError(say("device", " or ".join(NAMES), repr(name)))
    if name == "auto":
        return None
    try:
        return jax.devices(name)[0]
    except RuntimeError as error:
        found = ", ".join(sorted({device.platform for device in jax.devices()}))
        todo = f"JAX finds {found}; install its package for the device, or choose another"
        raise BackendError(say("device", f"one that is called {name}", "none", todo)) from error


def name_of(device: Any) -> str:
    """Return the name of a device, cpu or cuda; None is the one that JAX takes by itself."""
    platform = (device or jax.devices()[0]).platform
    return "cuda" if platform == "gpu" else str(platform)
