"""The backend `torch`: operators in PyTorch, differentiated by PyTorch.

Spec: specs/backend.md. PyTorch is imported when `ops` or a gradient is first asked for.
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
    """All three levels, on one device; parameters stay tensors there between the steps."""

    name = "torch"
    compiled = False

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @property
    def device_name(self) -> str:
        """Where it computes: cpu or cuda."""
        return self.device

    @property
    def ops(self) -> Any:
        """The operators, from NumPy arrays to NumPy arrays."""
        return importlib.import_module("mindref_torch.arrays").operators(self.device)

    def capabilities(self) -> Capabilities:
        """Claim every operator with every option, the model and the training step.

        In bfloat16 the operators alone, which compute in float32 throughout and round once.
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
        """Return the backend on a device: cpu, cuda, or auto for CUDA where there is some.

        Raises BackendError for a device that is not there, and without PyTorch.
        """
        try:
            devices = importlib.import_module("mindref_torch.devices")
        except ModuleNotFoundError as error:
            todo = "pip install 'torch>=2.2'"
            raise BackendError(say("backend torch", "PyTorch", error, todo)) from error
        return type(self)(devices.found(device))

    def differentiate(
        self, stem: str, arrays: Sequence[Array], numbers: Mapping[str, Any], d_out: Array
    ) -> list[Any]:
        """Return the gradients of the arguments that the page lists, in its order."""
        of_arrays = importlib.import_module("mindref_torch.arrays")
        found: list[Any] = of_arrays.differentiate(stem, arrays, numbers, d_out, self.device)
        return found

    def loss_and_gradients(
        self, params: Params, batch: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return the loss of a batch and all gradients, by rows for the tables."""
        return level("model").loss_and_gradients(params, batch, catalogue, config, self.device)

    def interests(
        self, params: Params, histories: Any, catalogue: Catalogue, config: Config
    ) -> Any:
        """Return interests (B, K, D) and which are active (B, K)."""
        return level("model").interests(params, histories, catalogue, config, self.device)

    def init(self, params: Params, config: Config, moments: Any = None) -> Any:
        """Return the state before the first step, or after those of `moments`."""
        return level("train").init(params, config, moments, self.device, self.compiled)

    def step(
        self, state: Any, batch: Any, catalogue: Catalogue, config: Config, learning_rate: float
    ) -> Any:
        """Take one step, changing the state in place; return it and the loss."""
        return level("train").step(state, batch, catalogue, config, learning_rate)

    def parameters(self, state: Any) -> Any:
        """Return the parameters of a state: its own, good until the next step."""
        return level("train").parameters(state)

    def moments(self, state: Any) -> Any:
        """Return the moments of a state: its own, good until the next step."""
        return level("train").moments(state)

    def join(self, rank: int, world: int) -> Callable[[str], list[str]]:
        """Join the processes that torchrun started, among which the steps are shared from now on.

        Return how to exchange words with them. Everything but `init` and `step` stays one's own.
        """
        of_processes = importlib.import_module("mindref_torch.distributed")
        exchange: Callable[[str], list[str]] = of_processes.join(rank, world)
        return exchange

    def to_numpy(self, x: Any) -> Any:
        """Return a tensor as an array in memory of its own."""
        return importlib.import_module("mindref_torch.arrays").array(x.detach()).copy()

    def from_numpy(self, x: Array) -> Any:
        """Return a copy of an array as a tensor."""
        return importlib.import_module("mindref_torch.arrays").copied(x, self.device)


class Compiled(TorchBackend):
    """The same, with training steps that PyTorch compiles; a process trains alone.

    Loss and gradients agree with those of the eager steps to rounding, not to the bit.
    """

    name = "mindref_torch:Compiled"
    compiled = True
    join = None  # type: ignore[assignment]  # backend-R17: refused before the first step

    def on(self, device: str) -> TorchBackend:
        """Return the backend on a device; raises BackendError where nothing can be compiled."""
        there = super().on(device)
        importlib.import_module("mindref_torch.compiled").check_compiler(there.device)
        return there


def level(name: str) -> Any:
    """Return the module of a level, and PyTorch with it."""
    return importlib.import_module(f"mindref_torch.level_{name}")
