"""The backend `torch`: operators in PyTorch, differentiated by PyTorch.

Spec: specs/backend.md. PyTorch is imported at the first access to `ops` or a level.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mindref.backend import Capabilities, FrameworkBackend
from mindref.config import Config


class TorchBackend(FrameworkBackend):
    """All levels on one device; between steps, parameters stay tensors on it."""

    name, package, framework, requirement = "torch", "mindref_torch", "PyTorch", "torch>=2.2"

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)

    def load_on_device(self, name: str) -> Callable[..., Any]:
        """Return a function of this package that creates its tensors on the device."""
        return partial(self.load_function(name), device=self.device)

    @property
    def device_name(self) -> str:
        """The device in use: cpu or cuda."""
        return str(self.device)

    def capabilities(self) -> Capabilities:
        """Return all operators with all options, and all levels.

        The operators also support bfloat16. They compute in float32 and round each result once.
        """
        dtypes = ("float64", "float64"), ("float32", "float32"), ("bfloat16", "float32", "float32")
        return super().capabilities()._replace(dtypes=dtypes)

    def join(self, rank: int, world: int) -> Callable[[str], list[str]]:
        """Join the process group of torchrun; later calls of `init` and `step` are distributed.

        Return a function that exchanges texts. All other methods remain local.
        """
        exchange: Callable[[str], list[str]] = self.load_function("distributed.join")(rank, world)
        return exchange


class Compiled(TorchBackend):
    """The backend `torch` with compiled training steps, for one process.

    Loss and gradients equal those of eager steps up to rounding, not bit for bit.
    """

    name = "mindref_torch:Compiled"
    join = None  # type: ignore[assignment]  # backend-R17: an error before the first step

    def capabilities(self) -> Capabilities:
        """Return the claims of `torch`, without threads: compilation in threads is not tested."""
        return super().capabilities()._replace(concurrency=())

    def on(self, device: str) -> Compiled:
        """Return the backend on a device; raises BackendError if PyTorch cannot compile for it."""
        backend: Compiled = super().on(device)
        self.load_function("compiled.check_compiler")(backend.device)
        return backend

    def init(self, params: object, config: Config, moments: object = None) -> Any:
        """Return the initial state of a training with compiled steps."""
        return self.load_on_device("level_train.init")(params, config, moments, compiled=True)
