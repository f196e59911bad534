"""The same batches from the same parameters: one curve of losses, whoever trains."""

from __future__ import annotations

from tests.backends.training import Training


class TestTraining(Training):
    name = "jax"
