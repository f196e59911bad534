"""The losses of a training match those of the reference."""

from __future__ import annotations

from tests.backends.training import Training


class TestTraining(Training):
    name = "torch"
