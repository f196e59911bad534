"""The backend contract, and the registry of installed backends.

Spec: specs/backend.md. A backend is an entry point in the group `mindref.backends`, or an object
given as `module:object`. The reference `numpy` is registered in the same way.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from mindref.arguments import check_arguments
from mindref.errors import FOREIGN_ERRORS, BackendError, MindrefError, printable, say
from mindref.process.requirements import install_backend, install_libraries
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.config import Config

Made = TypeVar("Made")

ENTRY_POINT_GROUP = "mindref.backends"
OPERATORS = (  # backend-R8
    "embedding",
    "softmax",
    "squash",
    "routing",
    "relu_layer",
    "label_attention",
    "sampled_softmax",
)
DEFAULT_OPTIONS = ("squash-R6", "squash-R7", *(f"routing-R{n}" for n in (9, 25, 26, 27)))
"""Options that a backend claims by default."""

LOG_WEIGHTS = tuple(f"routing-R{n}" for n in range(32, 40))
"""Rules of the routing argument `log_weights`. They are newer, so a backend must claim them."""

SUBNORMAL = "numerics-R16"
"""Rule of subnormal numbers. XLA treats them as zero, so a backend must claim the rule."""

OPTIONS = (*DEFAULT_OPTIONS, *LOG_WEIGHTS, SUBNORMAL)
"""The optional features of the operators: a backend may leave out what it does not claim."""

CONTRACT_FAMILY = "mind"  # which every backend of level 2 or 3 computes
FAMILIES = (CONTRACT_FAMILY, "mind_plus", "youtube_dnn")
"""Model families that a backend may claim for levels 2 and 3 (backend-R19)."""

CONCURRENCY = ("threads", "fork")
"""Claims: the results are the same in concurrent threads, and in the child of a fork."""

SEPARATE_PACKAGES = ("torch", "jax")
"""Backends in separate packages. Each is an extra of the same name."""

MEMBERS = ("name", "ops", "capabilities", "to_numpy", "from_numpy")


class Capabilities(NamedTuple):
    """What a backend claims, readable without importing a framework (backend-R3)."""

    operators: tuple[str, ...]  # names of the operators in `ops`
    levels: tuple[str, ...] = ("ops",)  # of "ops", "model", "train"
    gradients: str = "derived"  # or "automatic": the framework differentiates, no `backward`
    dtypes: tuple[tuple[str, ...], ...] = (("float64", "float64"), ("float32", "float32"))
    # (inputs and outputs, accumulation, and stored intermediate values if different)
    devices: tuple[str, ...] = ("cpu",)
    options: tuple[str, ...] = DEFAULT_OPTIONS  # labels of implemented optional features
    families: tuple[str, ...] = (CONTRACT_FAMILY,)  # that levels 2 and 3 compute
    concurrency: tuple[str, ...] = ()  # of "threads", "fork" (backend-R18, R22)


class Backend(Protocol):
    """Level 1 (ops), which every backend has. Levels 2 and 3 are additional methods.

    Level 2 (model): `loss_and_gradients(params, batch, catalogue, config) -> (loss, Gradients)` and
    `interests(params, histories, catalogue, config) -> (interests (B, K, D), active (B, K))`.
    Level 3 (train): `init(params, config) -> state` and
    `step(state, batch, catalogue, config, learning_rate) -> (state, loss)`, with
    `parameters(state) -> params`. Levels that are not claimed are composed from the operators.
    Several devices: `on(device) -> backend`; the attribute `device_name` is the device in use.
    Distributed steps (level 3): `join(rank, world) -> exchange`, see
    mindref.training.distributed.
    """

    name: str

    @property
    def ops(self) -> Any:
        """Namespace with one member per operator, each with `forward` (and `backward`)."""

    def capabilities(self) -> Capabilities:
        """Return what the backend claims."""

    def to_numpy(self, x: Any) -> Array:
        """Return an array of the backend as a NumPy array."""

    def from_numpy(self, x: Array) -> Any:
        """Return a NumPy array as one of the backend."""


class NumpyBackend:
    """The reference: whole-array NumPy, every gradient derived by hand."""

    name = "numpy"

    @property
    def ops(self) -> ModuleType:
        """The modules of `mindref.ops`."""
        return importlib.import_module("mindref.ops")

    def capabilities(self) -> Capabilities:
        """Return all operators; levels 2 and 3 are composed from them."""
        return Capabilities(OPERATORS, options=OPTIONS, concurrency=CONCURRENCY)  # backend-R13

    def to_numpy(self, x: Array) -> Array:
        """Return x, which is already a NumPy array."""
        return x

    def from_numpy(self, x: Array) -> Array:
        """Return x unchanged."""
        return x  # backend-R11


class FrameworkBackend:
    """Base of a backend in a framework, which is imported when `ops` or a level is first used.

    `package` has the modules `arrays` (level 1), `level_model`, `level_train`, `scoring` (level
    `serve`) and `devices`. Their functions have the names of the methods here.
    """

    name: str
    package: str
    framework: str  # name of the framework in messages
    requirement: str  # of pip

    def __init__(self, device: Any = None) -> None:
        self.device = device  # as `devices.find_device` returns it

    def load_function(self, name: str) -> Callable[..., Any]:
        """Return a function of the package, such as `level_train.step`; imports the framework."""
        module, _, attribute = name.partition(".")
        return getattr(importlib.import_module(f"{self.package}.{module}"), attribute)

    def load_on_device(self, name: str) -> Callable[..., Any]:
        """Return a function of the package that creates its arrays on the device in use."""
        return self.load_function(name)

    def capabilities(self) -> Capabilities:
        """Return all operators with all options, and all levels."""
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train", "serve"),
            gradients="automatic",
            devices=("cpu", "cuda"),  # backend-R16: the devices that `on` accepts
            options=OPTIONS,
            families=(CONTRACT_FAMILY, "mind_plus"),
            concurrency=("threads",),  # a fork may hang, or lack the threads of the framework
        )

    def on(self, device: str) -> Any:
        """Return the backend on a device: cpu, cuda, or auto (the best available).

        Raises BackendError if the device is not available or the framework is not installed.
        """
        try:
            find_device = self.load_function("devices.find_device")
        except ModuleNotFoundError as error:
            todo = install_libraries(self.requirement)
            raise BackendError(say(f"backend {self.name}", self.framework, error, todo)) from error
        return type(self)(find_device(device))

    @property
    def ops(self) -> object:
        """The operators as functions of NumPy arrays."""
        return self.load_on_device("arrays.make_operators")()

    def differentiate(
        self, stem: str, arrays: Sequence[Array], numbers: Mapping[str, object], d_out: Array
    ) -> Sequence[object]:
        """Return the gradients of the differentiable arguments, in the order of the page."""
        return self.load_on_device("arrays.differentiate")(stem, arrays, numbers, d_out)

    def loss_and_gradients(
        self, params: object, batch: object, catalogue: object, config: Config
    ) -> tuple[Any, Any]:
        """Return the loss of a batch and all gradients; gradients of tables are row gradients."""
        function = self.load_on_device("level_model.loss_and_gradients")
        return function(params, batch, catalogue, config)

    def interests(
        self, params: object, histories: object, catalogue: object, config: Config
    ) -> tuple[Any, Any]:
        """Return interests (B, K, D) and the mask of active interests (B, K)."""
        return self.load_on_device("level_model.interests")(params, histories, catalogue, config)

    def init(self, params: object, config: Config, moments: object = None) -> Any:
        """Return the initial state, or the state that continues from `moments`."""
        return self.load_on_device("level_train.init")(params, config, moments)

    def step(
        self, state: object, batch: object, catalogue: object, config: Config, learning_rate: float
    ) -> tuple[Any, Any]:
        """Take one training step; return the next state and the loss. The old state is invalid."""
        function = self.load_function("level_train.step")
        return function(state, batch, catalogue, config, learning_rate)

    def parameters(self, state: object) -> Any:
        """Return the parameters of a state without a copy, valid until the next step."""
        return self.load_function("level_train.parameters")(state)

    def moments(self, state: object) -> Any:
        """Return the moments of a state without a copy, valid until the next step."""
        return self.load_function("level_train.moments")(state)

    def scores(self, interests: Array, active: Array, items: Array) -> Any:
        """Return the score (B, N) of each item: the maximum over the active interests."""
        return self.load_on_device("scoring.score_arrays")(interests, active, items)

    def to_numpy(self, x: object) -> Array:
        """Return a copy of an array of the framework as a NumPy array."""
        array: Array = self.load_function("arrays.copy_to_numpy")(x)
        return array

    def from_numpy(self, x: Array) -> Any:
        """Return a copy of a NumPy array as an array of the framework, of the same dtype."""
        return self.load_on_device("arrays.copy_from_numpy")(x)


def list_backends() -> dict[str, metadata.EntryPoint]:
    """Return name -> entry point of every installed backend, without importing any."""
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)}


def describe_backend(name: str) -> dict[str, Any]:
    """Return the claims of a backend, or why it is unusable. No framework is imported."""
    try:
        return {"name": name, "usable": True, **load_backend(name).capabilities()._asdict()}
    except BackendError as error:
        return {"name": name, "usable": False, "reason": str(error)}
    except FOREIGN_ERRORS as error:
        return {"name": name, "usable": False, "reason": f"{type(error).__name__}: {error}"}


@check_arguments
def load_backend(name: str, device: str | None = None) -> Backend:
    """Return the backend of this name, or the object `module:object` (backend-R1).

    device: cpu, cuda, or auto (the best available). None: the backend as constructed, without
    importing its framework. Raises BackendError if the name is unknown, the import fails, the
    object lacks part of the contract, or the device is not available.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        loaded = call_foreign(name, lambda: getattr(importlib.import_module(module), attribute))
    else:
        installed = list_backends()
        if name not in installed:  # backend-R4
            names = ", ".join(sorted(installed)) or "none installed"
            todo = install_backend(name) if name in SEPARATE_PACKAGES else ""
            expected = f"one of {names}, or module:object"
            raise BackendError(say("backend", expected, repr(name), todo))
        loaded = call_foreign(name, installed[name].load)
    backend = call_foreign(name, loaded) if isinstance(loaded, type) else loaded  # backend-R7
    # getattr_static, because `ops` may be a property that imports a framework (backend-R3)
    missing = [m for m in MEMBERS if inspect.getattr_static(backend, m, None) is None]
    if missing:  # backend-R2
        got = f"no {', '.join(missing)}"
        raise BackendError(say(f"backend {name}", "the whole contract", got))
    checked: Backend = backend
    return checked if device is None else on_device(checked, device)


def import_from_cwd(name: str) -> None:
    """Allow `module:object` to import from the current folder, as the Python interpreter does.

    A file in this folder with the name of a library then shadows the library.
    """
    if ":" in name and (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)


def check_installed(name: str, location: str) -> None:
    """Raise BackendError if a run names a backend `module:object` that is not installed.

    A run may come from another person, and loading its backend would execute that code. An object
    of a package with a registered backend counts as installed.
    """
    module, colon, _ = name.partition(":")
    installed = [f"{entry.module}." for entry in list_backends().values()]
    if colon and not any(other.startswith(f"{module}.") for other in installed):  # security-R9
        todo = f"if you trust that code: --backend {printable(name)}"  # security-R12
        raise BackendError(say(location, "an installed backend", repr(name), todo))


def on_device(backend: Any, device: str) -> Backend:
    """Return the backend on a device. A CPU-only backend is returned unchanged for cpu and auto."""
    location = f"backend {backend.name}: device"
    if inspect.getattr_static(backend, "on", None) is None:
        if device not in ("cpu", "auto"):  # backend-R16
            todo = "choose a --backend that supports this device"
            raise BackendError(say(location, "cpu or auto", device, todo))
        return backend
    try:
        return backend.on(device)  # backend-R16
    except MindrefError:
        raise
    except FOREIGN_ERRORS as error:
        got, todo = f"{type(error).__name__}: {error}", "choose another --device"
        raise BackendError(say(location, f"{device} to be available", got, todo)) from error


def device_name(backend: object, requested: str = "cpu") -> str:
    """Return the device in use, cpu or cuda; `requested` if the backend does not report one."""
    if inspect.getattr_static(backend, "on", None) is None:
        return "cpu"  # backend-R16
    reported = getattr(backend, "device_name", requested)
    return reported if isinstance(reported, str) else requested


def call_foreign(name: str, make: Callable[[], Made]) -> Made:
    """Return `make()`. Any error of third-party code becomes one BackendError (backend-R5)."""
    try:
        return make()
    except FOREIGN_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        todo = "install its dependencies, or choose another backend"
        raise BackendError(say(f"backend {name}", "an importable backend", reason, todo)) from error


@contextmanager
def backend_errors(backend: Backend | None, location: str) -> Iterator[None]:
    """Turn errors of third-party code into a BackendError with `where`; None is the reference."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the results
            yield
    except (MindrefError, MemoryError):
        raise
    except FOREIGN_ERRORS as error:
        if backend is None or backend.name in BUILT_IN:  # a bug in mindref, reported as such
            raise
        subject, got = f"backend {backend.name}, {location}", f"{type(error).__name__}: {error}"
        raise BackendError(say(subject, "arrays", got, "choose another --backend")) from error


BUILT_IN = ("numpy", "numba")
