"""Faults that are wrong from a step or a call on."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models.parameters import Params, copy_tables
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools
from mindref.training.optimiser import State
from tests.conformance.independent.faults.catalogue import (
    LATER_STEPS,
    FaultyBackend,
    faulty_backend,
    faulty_operator,
)
from tests.conformance.independent.label_attention import LabelAttention
from tests.conformance.independent.levels import Tables, TrainingState, join_row_gradients
from tests.conformance.independent.relu_layer import ReluLayer, ReluSaved
from tests.conformance.independent.softmax import Softmax, SoftmaxSaved

RESUMED = "contract/training_resumes_from_parameters_and_moments"


@faulty_backend("many_steps/later_steps_match_the_reference")
class CorrectionEndsAt1000(FaultyBackend):
    """From step 1001 on, the moments have no bias correction."""

    def correction_step(self, state: TrainingState) -> int:
        return state.step if state.step <= 1000 else 10**9


@faulty_backend(LATER_STEPS)
class FirstRateKept(FaultyBackend):
    """From the second step of a state on, the learning rate is that of the first step."""

    def read_rate(self, learning_rate: float, state: TrainingState) -> float:
        return state.__dict__.setdefault("first_rate", learning_rate)


@faulty_backend("optimiser/two_and_three_steps_match_the_reference")
class DecayOverGap(FaultyBackend):
    """After steps without a gradient, the moments of a row decay once for each of these steps."""

    def update_table(
        self,
        name: str,
        state: TrainingState,
        gradient: Any,
        config: Config,
        rate: float,
        epsilon: float,
    ) -> None:
        if isinstance(gradient, RowGradient):
            last_steps = state.__dict__.setdefault("last_steps", {})
            if name not in last_steps:
                last_steps[name] = np.full(len(state.params[name]), state.step - 1)
            gap = (state.step - 1 - last_steps[name][gradient.rows])[:, None]
            dtype = state.first[name].dtype
            state.first[name][gradient.rows] *= (config.beta1**gap).astype(dtype)
            state.second[name][gradient.rows] *= (config.beta2**gap).astype(dtype)
            last_steps[name][gradient.rows] = state.step
        super().update_table(name, state, gradient, config, rate, epsilon)


@faulty_backend(RESUMED)
class CountFromResume(FaultyBackend):
    """After `init` with moments, the bias correction counts only the steps since `init`."""

    def init(self, params: Params, config: Config, moments: State | None = None) -> TrainingState:
        state = super().init(params, config, moments)
        state.__dict__["start"] = state.step
        return state

    def correction_step(self, state: TrainingState) -> int:
        return state.step - state.__dict__["start"]


@faulty_backend(RESUMED)
class MatrixCachedById(FaultyBackend):
    """After a change of S in place, level 2 uses the copy that is cached by the id of the array."""

    def __init__(self) -> None:
        super().__init__()
        self.cached: tuple[int, Array] | None = None

    def read_bilinear(self, bilinear: Array) -> Array:
        if self.cached is None or self.cached[0] != id(bilinear):
            self.cached = (id(bilinear), bilinear.copy())
        return self.cached[1]


@faulty_operator("label_attention", "label_attention/attention_does_not_depend_on_the_batch")
class EqualWeightsByShape(LabelAttention):
    """From the second call with p = 0 and a shape on, the weights are those of the first call."""

    def __init__(self, softmax: Softmax) -> None:
        super().__init__(softmax)
        self.cache: dict[Any, Array] = {}

    def equal_weights(self, scores: Array, active: Bools) -> tuple[Array, SoftmaxSaved]:
        key = (scores.shape, scores.dtype)
        if key not in self.cache:
            self.cache[key] = super().equal_weights(scores, active)[0]
        weights = self.cache[key].copy()
        return weights, SoftmaxSaved(weights, active, 1)


@faulty_operator("relu_layer", "numerics/results_share_no_memory[relu_layer]")
class GradientBufferReused(ReluLayer):
    """From the second call with a shape on, backward overwrites the earlier d_weight."""

    def __init__(self) -> None:
        self.buffers: dict[Any, Array] = {}

    def backward(self, d_out: Array, saved: ReluSaved) -> tuple[Array, Array, Array]:
        d_x, d_weight, d_bias = super().backward(d_out, saved)
        buffer = self.buffers.setdefault((d_weight.shape, d_weight.dtype), np.empty_like(d_weight))
        buffer[...] = d_weight
        return d_x, buffer, d_bias


@faulty_backend("many_steps/trainings_that_alternate_do_not_mix")
class MomentsOfBackend(FaultyBackend):
    """From the second state with equal shapes on, states of a backend share their moments."""

    def __init__(self) -> None:
        super().__init__()
        self.arrays: dict[Any, Array] = {}

    def init(self, params: Params, config: Config, moments: State | None = None) -> TrainingState:
        state = super().init(params, config, moments)
        for order in ("first", "second"):
            table = getattr(state, order)
            for name, x in table.items():
                shared = self.arrays.setdefault((order, name, x.shape, x.dtype), x)
                shared[...] = x
                table[name] = shared
        return state


@faulty_backend(LATER_STEPS)
class HundredthNotCleared(FaultyBackend):
    """Steps 101, 201 and so on also add the item gradient of the step before."""

    def update_tables(
        self, state: TrainingState, gradients: Tables, config: Config, learning_rate: float
    ) -> None:
        earlier = state.__dict__.pop("earlier", None)
        items = gradients["items"]
        if (state.step + 1) % 100 == 0:
            state.__dict__["earlier"] = items
        if earlier is not None:
            gradients = {**gradients, "items": join_row_gradients([earlier, items])}
        super().update_tables(state, gradients, config, learning_rate)


@faulty_backend(LATER_STEPS)
class MomentsEveryTenSteps(FaultyBackend):
    """From step 11 on, `moments` returns the moments of the last step that is a multiple of 10."""

    def update_tables(
        self, state: TrainingState, gradients: Tables, config: Config, learning_rate: float
    ) -> None:
        super().update_tables(state, gradients, config, learning_rate)
        if state.step <= 10 or state.step % 10 == 0 or "snapshot" not in state.__dict__:
            state.__dict__["snapshot"] = (copy_tables(state.first), copy_tables(state.second))

    def moments(self, state: TrainingState) -> State:
        first, second = state.__dict__.get("snapshot", (state.first, state.second))
        return State(state.step, first, second)
