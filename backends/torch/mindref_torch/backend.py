"""The backend `torch`: operators in PyTorch, differentiated by PyTorch.

Spec: specs/backend.md. PyTorch is imported at the first access to `ops` or a level.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mindref.backend import OPERATORS, Capabilities
from mindref.config import Config
from mindref.errors import BackendError, say
from mindref.models.parameters import Catalogue, Params
from mindref.shapes import Array


class TorchBackend:
    """All three levels on one device; between steps, parameters stay tensors on it."""

    name = "torch"
    compiled = False

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @property
    def device_name(self) -> str:
        """The device in use: cpu or cuda."""
        return self.device

    @property
    def ops(self) -> Any:
        """The operators as functions of NumPy arrays."""
        return importlib.import_module("mindref_torch.arrays").make_operators(self.device)

    def capabilities(self) -> Capabilities:
        """Return all operators with all default options, and all three levels.

        The operators also support bfloat16. They compute in float32 and round each result once.
        """
        return Capabilities(
            OPERATORS,
            levels=("ops", "model", "train"),
            gradients="automatic",
            dtypes=(
                ("float64", "float64"),
                ("float32", "float32"),
                ("bfloat16", "float32", "float32"),
            ),
            devices=("cpu", "cuda"),
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

    def differentiate(
        self, stem: str, arrays: Sequence[Array], numbers: Mapping[str, Any], d_out: Array
    ) -> list[Any]:
        """Return the gradients of the differentiable arguments, in the order of the page."""
        arrays_module = importlib.import_module("mindref_torch.arrays")
        gradients: list[Any] = arrays_module.differentiate(
            stem, arrays, numbers, d_out, self.device
        )
        return gradients

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return the loss of a batch and all gradients; gradients of tables are row gradients."""
        return load_level("model").loss_and_gradients(params, batch, catalogue, config, self.device)

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return interests (B, K, D) and the mask of active interests (B, K)."""
        return load_level("model").interests(params, histories, catalogue, config, self.device)

    def init(self, params: Params, config: Config, moments: Any = None) -> Any:
        """Return the initial state, or the state that continues from `moments`."""
        return load_level("train").init(params, config, moments, self.device, self.compiled)

    def step(
        self, state: Any, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
    ) -> Any:
        """Take one training step in place; return the state and the loss."""
        return load_level("train").step(state, batch, catalogue, config, learning_rate)

    def parameters(self, state: Any) -> Any:
        """Return the parameters of a state without a copy; the next step changes them."""
        return load_level("train").parameters(state)

    def moments(self, state: Any) -> Any:
        """Return the moments of a state without a copy; the next step changes them."""
        return load_level("train").moments(state)

    def join(self, rank: int, world: int) -> Callable[[str], list[str]]:
        """Join the process group of torchrun; later calls of `init` and `step` are distributed.

        Return a function that exchanges texts. All other methods remain local.
        """
        distributed = importlib.import_module("mindref_torch.distributed")
        exchange: Callable[[str], list[str]] = distributed.join(rank, world)
        return exchange

    def to_numpy(self, x: Any) -> Any:
        """Return a copy of a tensor as an array."""
        return importlib.import_module("mindref_torch.arrays").to_array(x.detach()).copy()

    def from_numpy(self, x: Array) -> Any:
        """Return a copy of an array as a tensor."""
        return importlib.import_module("mindref_torch.arrays").copy_to_tensor(x, self.device)


class Compiled(TorchBackend):
    """The backend `torch` with compiled training steps, for one process.

    Loss and gradients equal those of eager steps up to rounding, not bit for bit.
    """

    name = "mindref_torch:Compiled"
    compiled = True
    join = None  # type: ignore[assignment]  # backend-R17: an error before the first step

    def on(self, device: str) -> TorchBackend:
        """Return the backend on a device; raises BackendError if PyTorch cannot compile for it."""
        backend = super().on(device)
        importlib.import_module("mindref_torch.compiled").check_compiler(backend.device)
        return backend


def load_level(name: str) -> Any:
    """Return the module of a level; imports PyTorch."""
    return importlib.import_module(f"mindref_torch.level_{name}")
