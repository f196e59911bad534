"""Who computes: the contract of a backend, and the registry.

Spec: specs/backend.md. A backend is found by its name among the entry points `mindref.backends`, or
given as `module:object`; `numpy`, the reference, is registered there like any other.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from mindref.errors import STRANGE, BackendError, MindrefError, printable, say

GROUP = "mindref.backends"
OPERATORS = (  # backend-R8
    "embedding",
    "softmax",
    "squash",
    "routing",
    "relu_layer",
    "label_attention",
    "sampled_softmax",
)
USUAL = (
    "squash-R6",
    "squash-R7",
    "routing-R9",
    "routing-R25",
    "routing-R26",
    "routing-R27",
)
"""The options that a backend claims if it says nothing of them."""

LOG_WEIGHTS = tuple(f"routing-R{n}" for n in range(32, 40))
"""The rules of the argument `log_weights` of routing: younger than backends that say nothing."""

OPTIONS = (*USUAL, *LOG_WEIGHTS)
"""The (may) rules of the operators: what a backend may leave out, if it does not claim it."""

PACKAGES = ("torch", "jax")
"""Backends that are packages of their own, each an extra of that name."""

MEMBERS = ("name", "ops", "capabilities", "to_numpy", "from_numpy")


class Capabilities(NamedTuple):
    """What a backend claims, readable without importing its framework (backend-R3)."""

    operators: tuple[str, ...]  # stems that `ops` has
    levels: tuple[str, ...] = ("ops",)  # of "ops", "model", "train"
    gradients: str = "derived"  # or "automatic": the framework's own, and ops lack backward
    dtypes: tuple[tuple[str, ...], ...] = (("float64", "float64"), ("float32", "float32"))
    # (type of inputs and outputs, of accumulation, and of what is stored on the way if it differs)
    devices: tuple[str, ...] = ("cpu",)
    options: tuple[str, ...] = USUAL  # labels of the (may) rules that it keeps


class Backend(Protocol):
    """Level 1, which every backend has. Levels 2 and 3 are further methods that it claims.

    Level 2: `loss_and_gradients(params, batch, catalogue, config) -> (loss, Gradients)` and
    `interests(params, histories, catalogue, config) -> (interests (B, K, D), active (B, K))`.
    Level 3: `init(params, config) -> state` and
    `step(state, batch, catalogue, config, learning_rate) -> (state, loss)`, with
    `parameters(state) -> params`. Without them the reference composes them from the operators.
    Several devices: `on(device) -> backend`, which says by `device_name` where it computes.
    One of level 3 may let several processes share its steps: `join(rank, world) -> exchange`, see
    mindref.training.distributed.
    """

    name: str

    @property
    def ops(self) -> Any:
        """A namespace with one member per operator, each with `forward` (and `backward`)."""

    def capabilities(self) -> Capabilities:
        """Say what the backend has."""

    def to_numpy(self, x: Any) -> Any:
        """Return an array of the backend as a NumPy array."""

    def from_numpy(self, x: Any) -> Any:
        """Return a NumPy array as one of the backend."""


class NumpyBackend:
    """The reference itself: whole arrays, every gradient derived by hand."""

    name = "numpy"

    @property
    def ops(self) -> ModuleType:
        """The modules of `mindref.ops`."""
        return importlib.import_module("mindref.ops")

    def capabilities(self) -> Capabilities:
        """Claim the operators; model and train are composed from them."""
        return Capabilities(OPERATORS, options=OPTIONS)  # backend-R13

    def to_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x

    def from_numpy(self, x: Any) -> Any:
        """Return x: its arrays are NumPy's."""
        return x  # backend-R11


def available() -> dict[str, metadata.EntryPoint]:
    """Return name -> entry point of every installed backend, none of them imported."""
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def described(name: str) -> dict[str, Any]:
    """Return what an installed backend claims, or why it cannot be used; its framework sleeps."""
    try:
        return {"name": name, "usable": True, **load(name).capabilities()._asdict()}
    except BackendError as error:
        return {"name": name, "usable": False, "reason": str(error)}
    except STRANGE as error:  # a stranger's code may raise anything
        return {"name": name, "usable": False, "reason": f"{type(error).__name__}: {error}"}


def load(name: str, device: str | None = None) -> Backend:
    """Return the backend of this name, or of `module:object` (backend-R1).

    Of a backend that computes on several devices, the one on `device`: cpu, cuda, or auto for its
    best one. None leaves it as it is made, without its framework. Raises BackendError for an
    unknown name, for one that cannot be imported, for an object that lacks part of the contract,
    and for a device that is not there; each message names what is missing.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        made = imported(name, lambda: getattr(importlib.import_module(module), attribute))
    else:
        found = available()
        if name not in found:  # backend-R4
            known = ", ".join(sorted(found)) or "none installed"
            todo = f"pip install 'mindref[{name}]', or ./backends/{name} in a checkout"
            todo = todo if name in PACKAGES else ""
            expected = f"one of {known}, or module:object"
            raise BackendError(say("backend", expected, repr(name), todo))
        made = imported(name, found[name].load)
    backend = imported(name, made) if isinstance(made, type) else made  # backend-R7
    # looked up without calling: `ops` may be a property that imports a framework (backend-R3)
    lacks = [m for m in MEMBERS if inspect.getattr_static(backend, m, None) is None]
    if lacks:  # backend-R2
        raise BackendError(say(f"backend {name}", "the whole contract", f"no {', '.join(lacks)}"))
    checked: Backend = backend
    return checked if device is None else placed(checked, device)


def look_here(name: str) -> None:
    """Let the module of `module:object` lie in the current folder, as it does for Python itself.

    So may all that it imports: what has the name of a library there is taken for that.
    """
    if ":" in name and (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)


def check_installed(name: str, where: str) -> None:
    """Raise BackendError for a backend that a run names, and that nobody installed as one.

    A run may be a stranger's: the module of `module:object` would be imported, and runs. An object
    beside a registered one is as much installed as that, so are those of its package.
    """
    module, colon, _ = name.partition(":")
    known = [f"{entry.module}." for entry in available().values()]
    if colon and not any(other.startswith(f"{module}.") for other in known):  # security-R9
        todo = f"if you trust that code: --backend {printable(name)}"  # security-R12
        raise BackendError(say(where, "a backend that is installed", repr(name), todo))


def placed(backend: Any, device: str) -> Backend:
    """Return a backend that computes on a device, the given one if it knows the CPU alone."""
    where = f"backend {backend.name}: device"
    if inspect.getattr_static(backend, "on", None) is None:
        if device not in ("cpu", "auto"):  # backend-R16
            todo = "choose a --backend that computes there"
            raise BackendError(say(where, "cpu or auto", device, todo))
        return backend
    try:
        return backend.on(device)  # backend-R16
    except MindrefError:
        raise
    except STRANGE as error:
        got, todo = f"{type(error).__name__}: {error}", "choose another --device"
        raise BackendError(say(where, f"{device} to be there", got, todo)) from error


def device_name(backend: Any, asked: str = "cpu") -> str:
    """Return the device that a backend computes on, cpu or cuda; `asked` if it does not say."""
    if inspect.getattr_static(backend, "on", None) is None:
        return "cpu"  # backend-R16
    said = getattr(backend, "device_name", asked)
    return said if isinstance(said, str) else asked


def imported(name: str, make: Any) -> Any:
    """Call `make`; whatever a stranger's code raises becomes one BackendError (backend-R5)."""
    try:
        return make()
    except STRANGE as error:
        reason = f"{type(error).__name__}: {error}"
        todo = "install what it needs, or choose another backend"
        raise BackendError(say(f"backend {name}", "an importable backend", reason, todo)) from error


@contextmanager
def answering(backend: Backend | None, where: str) -> Iterator[None]:
    """Turn whatever a stranger's code raises into a BackendError that says when; None is ours."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            yield
    except (MindrefError, MemoryError):
        raise
    except STRANGE as error:
        if backend is None or backend.name in OURS:  # our own fault, to be reported as one
            raise
        got, todo = f"{type(error).__name__}: {error}", "choose another --backend"
        raise BackendError(say(f"backend {backend.name}, {where}", "arrays", got, todo)) from error


OURS = ("numpy", "numba")
