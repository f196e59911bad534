"""The same batches from the same parameters: one curve of losses, whoever trains."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mindref.backend import Backend, load
from mindref.bench.world import BATCHES, Settings, World
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.engine import engine_of
from mindref.models.parameters import flatten, unflatten
from mindref.optimiser import init

SETTINGS = Settings(
    batch=24, length=10, width=8, interests=3, iterations=3, hidden=(12,), negatives=40,
    catalogue=300,
)  # fmt: skip
STEPS = 50


class Training:
    """The curve of losses of a backend called `name`, against that of the reference."""

    name: str

    @pytest.mark.rules("backend-R13", "backend-R15")
    @pytest.mark.parametrize("gradient", ["last", "all"])
    @pytest.mark.parametrize("power", [2.0, float("inf")])
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_fifty_steps_have_the_losses_of_the_reference(
        self, dtype: str, power: float, gradient: str
    ) -> None:
        world = World(dataclasses.replace(SETTINGS, power=power, dtype=dtype))
        world.config = dataclasses.replace(world.config, routing_gradient=gradient, sigma=1.0)
        losses, after = curve(world, load("numpy"))
        found, parameters = curve(world, load(self.name))
        assert losses[-1] < 0.8 * losses[0]
        share = LOSS_CURVE[np.dtype(dtype)]
        np.testing.assert_allclose(found, losses, rtol=share)
        for name, x in after.items():
            assert parameters[name].dtype == x.dtype, name
            if (
                dtype == "float64"
            ):  # in float32, what has hardly a gradient goes where rounding says
                np.testing.assert_allclose(
                    parameters[name], x, rtol=share, atol=share, err_msg=name
                )


def curve(world: World, backend: Backend) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the losses of a training, and the parameters after it."""
    params = flatten(world.params())
    given = unflatten(params), init(params), world.catalogue, world.config
    engine = engine_of(backend, *given)
    losses = [engine.step(world.batches[i % BATCHES], 5e-3) for i in range(STEPS)]
    return losses, flatten(engine.now()[0])
