"""The losses of a training match those of the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mindref.backend import Backend, load_backend
from mindref.bench.workload import NUM_BATCHES, Workload, WorkloadSettings
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.models.parameters import flatten, unflatten
from mindref.training.engine import make_engine
from mindref.training.optimiser import init

SETTINGS = WorkloadSettings(
    batch=24, length=10, width=8, interests=3, iterations=3, hidden=(12,), negatives=40,
    catalogue=300,
)  # fmt: skip
STEPS = 50


class Training:
    """Tests of the losses of the backend `name` against the reference."""

    name: str

    @pytest.mark.rules("backend-R13", "backend-R15")
    @pytest.mark.parametrize(
        ("dtype", "power", "gradient"),
        [  # of two options, each pair of values occurs in a case that is not slow
            ("float64", 2.0, "all"),
            ("float64", float("inf"), "last"),
            ("float32", 2.0, "last"),
            ("float32", float("inf"), "all"),
            pytest.param("float64", 2.0, "last", marks=pytest.mark.slow),
            pytest.param("float64", float("inf"), "all", marks=pytest.mark.slow),
            pytest.param("float32", 2.0, "all", marks=pytest.mark.slow),
            pytest.param("float32", float("inf"), "last", marks=pytest.mark.slow),
        ],
    )
    def test_losses_of_fifty_steps_match_the_reference(
        self, dtype: str, power: float, gradient: str
    ) -> None:
        workload = Workload(dataclasses.replace(SETTINGS, power=power, dtype=dtype))
        workload.config = dataclasses.replace(workload.config, routing_gradient=gradient, sigma=1.0)
        expected, reference_parameters = train_steps(workload, load_backend("numpy"))
        losses, parameters = train_steps(workload, load_backend(self.name))
        assert expected[-1] < 0.8 * expected[0]
        tolerance = LOSS_CURVE[np.dtype(dtype)]
        np.testing.assert_allclose(losses, expected, rtol=tolerance)
        for name, x in reference_parameters.items():
            assert parameters[name].dtype == x.dtype, name
            # in float32, rounding changes parameters with tiny gradients
            if dtype == "float64":
                np.testing.assert_allclose(
                    parameters[name], x, rtol=tolerance, atol=tolerance, err_msg=name
                )


def train_steps(workload: Workload, backend: Backend) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the losses of a training and its final parameters."""
    params = flatten(workload.params())
    arguments = unflatten(params), init(params), workload.catalogue, workload.config
    engine = make_engine(backend, *arguments)
    losses = [engine.step(workload.batches[i % NUM_BATCHES], 5e-3) for i in range(STEPS)]
    return losses, flatten(engine.fetch_state()[0])
