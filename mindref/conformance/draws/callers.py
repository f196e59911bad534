"""Draw calls of several callers, with equal shapes and different numbers and options.

Spec: specs/backend.md, R18 and R22. `LARGE` has sizes above which implementations use threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.checks.embedding import embedding_calls
from mindref.conformance.checks.label_attention.agreement import label_attention_calls
from mindref.conformance.checks.numerics import scale_floats
from mindref.conformance.checks.relu_layer import relu_layer_calls
from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.sampled_softmax.agreement import sampled_softmax_calls
from mindref.conformance.checks.scoring import scoring_calls
from mindref.conformance.checks.softmax import softmax_calls
from mindref.conformance.checks.squash import squash_calls
from mindref.conformance.draws.model_draws import (
    ModelCase,
    ModelDraw,
    first_accepted,
    losses_are_differentiable,
)
from mindref.conformance.draws.training_draws import training_call
from mindref.conformance.runner.call import Call, callers_call
from mindref.conformance.strategies import generators, most_positions

CALLERS = 4
FACTORS = (1.0, 0.75, 1.25, 0.5)
"""Factor of the numbers of each caller. Hypothesis may draw equal numbers for all callers."""

CALLS: dict[str, Callable[..., st.SearchStrategy[Call]]] = {
    "embedding": embedding_calls,
    "softmax": softmax_calls,
    "squash": squash_calls,
    "routing": routing_calls,
    "relu_layer": relu_layer_calls,
    "label_attention": label_attention_calls,
    "sampled_softmax": sampled_softmax_calls,
}
"""Operator -> function that draws a call of given sizes."""

MEDIUM: dict[str, tuple[int, ...]] = {
    "embedding": (70, 5, 131, 3),
    "softmax": (67, 5, 9),
    "squash": (67, 3, 9),
    "routing": (19, 7, 3, 5),
    "relu_layer": (67, 17, 9),
    "label_attention": (67, 5, 9),
    "sampled_softmax": (19, 33, 5),
}
"""Operator -> sizes of the calls of concurrent callers."""

SMALL: dict[str, tuple[int, ...]] = {
    "embedding": (5, 2, 3, 2),
    "softmax": (2, 5, 3),
    "squash": (2, 3, 4),
    "routing": (2, 4, 3, 5),
    "relu_layer": (3, 4, 2),
    "label_attention": (2, 3, 4),
    "sampled_softmax": (2, 5, 3),
}
"""Operator -> sizes of calls that run a thousand times."""

LARGE = {
    **MEDIUM,
    "embedding": (70, 2, 4_099, 3),
    "softmax": (131, 5, 9),
    "routing": (131, 3, 2, 5),
    "relu_layer": (4_099, 9, 2),
    "sampled_softmax": (131, 67, 5),
}
"""Operator -> sizes of large calls: more than 64 users, more than 4,096 rows."""

OPTIONS: dict[str, tuple[Mapping[str, object], ...]] = {
    "softmax": ({"axis": 0}, {"axis": 1}, {"axis": 2}, {"axis": -1}),
    "routing": (
        {"iterations": 3, "gradient": "all"},
        {"iterations": 2, "gradient": "last"},
        {"iterations": 1, "gradient": "all"},
        {"iterations": 4, "gradient": "last"},
    ),
    "relu_layer": ({"relu": True}, {"relu": False}) * 2,
    "label_attention": ({"power": 1.0}, {"power": np.inf}, {"power": 0.5}, {"power": 0.0}),
    "sampled_softmax": (
        {"temperature": 1.0, "normalise": False},
        {"temperature": 0.5, "normalise": True},
        {"temperature": 0.1, "normalise": False},
        {"temperature": 2.0, "normalise": True},
    ),
}
"""Operator -> the options of each caller. Each backend has these options."""

SMOOTH = {"hidden": (), "power": 1.0, "iterations": 2}
"""Settings for which the loss has a derivative everywhere, except at a score of 0."""

SETTINGS: tuple[dict[str, object], ...] = (
    {"interest_count": "log2", "power": 2.0},
    {"interest_count": "log2", "routing": "uniform", "power": 1.0},
    {"interest_count": "log2", "attention": "mean"},
    {"interest_count": "log2", "normalise": True, "power": 0.5},
)
"""The settings of the model of each caller."""

TRAINING = {**SMOOTH, "iterations": 1, "epsilon": 0.1}
"""Settings with small rounding errors over several steps."""


@st.composite
def operator_callers(
    draw: st.DrawFn, /, stem: str, sizes: tuple[int, ...], count: int = CALLERS, repeats: int = 1
) -> Call:
    """Draw calls of an operator: equal shapes, different numbers and, if it has any, options."""
    options = OPTIONS.get(stem, ({},) * count)[:count]
    calls = [
        scale_floats(draw(CALLS[stem](sizes=sizes)), factor).change(**chosen)
        for factor, chosen in zip(FACTORS, options, strict=False)
    ]
    return callers_call(calls, repeats=repeats)


@st.composite
def model_callers(
    draw: st.DrawFn, /, make: Callable[[ModelCase], Call], sizes: tuple[int, ...], repeats: int = 1
) -> Call:
    """Draw calls of level `model` with equal shapes and different settings."""
    rng = draw(generators())
    settings = ({"hidden": (9,), "iterations": 2, **one} for one in SETTINGS)
    cases = [draw_case(rng, sizes, 1, one, losses_are_differentiable) for one in settings]
    return callers_call([make(case) for case in cases], repeats=repeats)


@st.composite
def single_model_callers(
    draw: st.DrawFn, /, make: Callable[[ModelCase], Call], sizes: tuple[int, ...], repeats: int = 1
) -> Call:
    """Draw one call of level `model` with the sizes B, L, K and D."""
    case = draw_case(draw(generators()), sizes, 1, SMOOTH, lambda case: True)
    return callers_call([make(case)], repeats=repeats)


@st.composite
def score_callers(
    draw: st.DrawFn, /, sizes: tuple[int, ...], count: int = CALLERS, repeats: int = 1
) -> Call:
    """Draw calls that score items, with the sizes B, K, D and N."""
    factors = FACTORS[:count]
    calls = [scale_floats(draw(scoring_calls(sizes=sizes)), factor) for factor in factors]
    return callers_call(calls, repeats=repeats)


@st.composite
def small_trainings(draw: st.DrawFn, /, rates: tuple[float, ...]) -> list[Call]:
    """Draw trainings of two steps with equal shapes, one for each learning rate."""
    rng = draw(generators())
    return [
        training_call(draw_case(rng, (5, 4, 2, 3), 2, TRAINING, lambda case: True), rate)
        for rate in rates
    ]


def small_training() -> st.SearchStrategy[Call]:
    """Draw a training of two steps with small rounding errors."""
    return small_trainings((0.1,)).map(lambda calls: calls[0])


def training_callers(count: int = 2, repeats: int = 1) -> st.SearchStrategy[Call]:
    """Draw trainings with equal shapes, different parameters and different learning rates."""
    return small_trainings((0.1, 0.03)[:count]).map(partial(callers_call, repeats=repeats))


def draw_case(
    rng: np.random.Generator,
    axes: Sequence[int],
    steps: int,
    settings: Mapping[str, object],
    accept: Callable[[ModelCase], bool],
) -> ModelCase:
    """Return a model with one user feature, and `steps` batches, that `accept` accepts."""
    mask = most_positions(rng, axes[0], axes[1])
    model_draw = ModelDraw(
        tuple(axes), mask, features=1, steps=steps, settings=settings, accept=accept
    )
    return first_accepted(rng, model_draw)
