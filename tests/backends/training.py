"""The same batches from the same parameters: one curve of losses, whoever trains."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mindref.backend import Backend, load
from mindref.bench.world import BATCHES, Settings, World
from mindref.conformance.optimiser import at_odds
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.models.parameters import flatten, unflatten
from mindref.training.engine import Diverged, engine_of
from mindref.training.optimiser import init

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

    @pytest.mark.rules("optimiser-R14")
    @pytest.mark.parametrize("bad", ["loss", "gradient"])
    def test_a_step_beyond_all_bounds_ends_the_training_and_moves_nothing(self, bad: str) -> None:
        world = World(SETTINGS)
        params, (good, batch) = world.params(), world.batches[:2]
        if bad == "gradient":
            params = params._replace(layers=at_odds(params.layers))
        else:
            logits = np.full_like(batch.histories.init_logits, np.nan)
            batch = batch._replace(histories=batch.histories._replace(init_logits=logits))
        given = params, init(flatten(params)), world.catalogue, world.config
        engine = engine_of(load(self.name), *given)
        if bad == "loss":
            engine.step(good, 5e-3)
        before = everything(engine)
        step = before["step"] + 1
        with pytest.raises(Diverged, match=rf"^step {step}: expected a finite loss, got nan"):
            engine.step(batch, 5e-3)
        assert everything(engine) == before


def everything(engine: Any) -> dict[str, Any]:
    """Return the count of steps, and the bytes of parameters and moments."""
    params, moments = engine.now()
    tables = {"params": flatten(params), "first": moments.first, "second": moments.second}
    some = {f"{name}.{k}": x.tobytes() for name, xs in tables.items() for k, x in xs.items()}
    return {"step": moments.step, **some}


def curve(world: World, backend: Backend) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the losses of a training, and the parameters after it."""
    params = flatten(world.params())
    given = unflatten(params), init(params), world.catalogue, world.config
    engine = engine_of(backend, *given)
    losses = [engine.step(world.batches[i % BATCHES], 5e-3) for i in range(STEPS)]
    return losses, flatten(engine.now()[0])
