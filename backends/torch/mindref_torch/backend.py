"""The backend `torch`: operators in PyTorch, differentiated by PyTorch.

Spec: specs/backend.md. PyTorch is imported at the first access to `ops` or a level.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mindref.backend import OPERATORS, OPTIONS, Capabilities, FrameworkBackend
from mindref.config import Config
from mindref.errors import BackendError, say
from mindref.shapes import Array, Bools

if TYPE_CHECKING:
    from torch import Tensor


class TorchBackend(FrameworkBackend):
    """All levels on one device; between steps, parameters stay tensors on it."""

    name, package = "torch", "mindref_torch"

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def load_on_device(self, name: str) -> Callable[..., Any]:
        """Return a function of this package that creates its tensors on the device."""
        return partial(self.load_function(name), device=self.device)

    @property
    def device_name(self) -> str:
        """The device in use: cpu or cuda."""
        return self.device

    def capabilities(self) -> Capabilities:
        """Return all operators with all options, and all levels.

        The operators also support bfloat16. They compute in float32 and round each result once.
        """
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train", "serve"),
            gradients="automatic",
            dtypes=(
                ("float64", "float64"),
                ("float32", "float32"),
                ("bfloat16", "float32", "float32"),
            ),
            devices=("cpu", "cuda"),
            options=OPTIONS,
            families=("mind", "mind_plus"),
            concurrency=("threads",),  # the threads of PyTorch are absent after a fork
        )

    def on(self, device: str) -> TorchBackend:
        """Return the backend on a device: cpu, cuda, or auto (cuda if available).

        Raises BackendError if the device is not available or PyTorch is not installed.
        """
        try:
            devices = importlib.import_module("mindref_torch.devices")
        except ModuleNotFoundError as error:
            todo = "pip install 'torch>=2.2'"
            raise BackendError(say("backend torch", "PyTorch", error, todo)) from error
        return type(self)(devices.resolve_device(device))

    def scores(self, interests: Array, active: Bools, items: Array) -> Tensor:
        """Return the score (B, N) of each item: the maximum over the active interests."""
        return self.load_on_device("scoring.score_arrays")(interests, active, items)

    def join(self, rank: int, world: int) -> Callable[[str], list[str]]:
        """Join the process group of torchrun; later calls of `init` and `step` are distributed.

        Return a function that exchanges texts. All other methods remain local.
        """
        exchange: Callable[[str], list[str]] = self.load_function("distributed.join")(rank, world)
        return exchange

    def to_numpy(self, x: Tensor) -> Array:
        """Return a copy of a tensor as an array."""
        return self.load_function("arrays.to_array")(x.detach()).copy()

    def from_numpy(self, x: Array) -> Tensor:
        """Return a copy of an array as a tensor."""
        return self.load_on_device("arrays.copy_to_tensor")(x)


class Compiled(TorchBackend):
    """The backend `torch` with compiled training steps, for one process.

    Loss and gradients equal those of eager steps up to rounding, not bit for bit.
    """

    name = "mindref_torch:Compiled"
    join = None  # type: ignore[assignment]  # backend-R17: an error before the first step

    def capabilities(self) -> Capabilities:
        """Return the claims of `torch`, without threads: compilation in threads is not tested."""
        return super().capabilities()._replace(concurrency=())

    def on(self, device: str) -> TorchBackend:
        """Return the backend on a device; raises BackendError if PyTorch cannot compile for it."""
        backend = super().on(device)
        self.load_function("compiled.check_compiler")(backend.device)
        return backend

    def init(self, params: object, config: Config, moments: object = None) -> Any:
        """Return the initial state of a training with compiled steps."""
        return self.load_on_device("level_train.init")(params, config, moments, compiled=True)
