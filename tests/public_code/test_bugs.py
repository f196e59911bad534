"""The public bugs, before the judge sees them: each is what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mindref import ops
from mindref.backend import load_backend
from mindref.conformance import gradient
from mindref.conformance.tolerances import SAME_MATH
from mindref.shapes import Array
from tests.public_code import attention_bugs as attention
from tests.public_code import loss_bugs as loss
from tests.public_code import routing_bugs as routing
from tests.public_code.bugs import BUGS
from tests.public_code.routing import Routing

TOLERANCE = SAME_MATH[np.dtype(np.float64)]
LENGTH = 3.0  # of a capsule whose squash can be told apart by differences
Question = tuple[list[Any], dict[str, Any]]
FLOATS = {"routing": (0, 2, 3), "label_attention": (0, 1), "sampled_softmax": (0, 1, 2)}
RIGHT = (Routing, attention.Attention, loss.Loss)


def question(stem: str, **changes: Any) -> Question:
    """A question on which every bug of the operator shows, but for what is changed."""
    rng = np.random.default_rng(4)
    if stem == "squash":
        return [changes.get("x", 1e-5 * rng.standard_normal((3, 5)))], {}
    if stem == "routing":
        asked = {
            "history": rng.standard_normal((3, 6, 5)),
            "mask": np.arange(6) < np.array([[4], [6], [5]]),
            "bilinear": rng.standard_normal((5, 5)) / np.sqrt(5),
            "init_logits": rng.standard_normal((3, 6, 4)),
            "active": np.arange(4) < np.array([[2], [3], [4]]),
        }
        numbers = {"iterations": 4, "gradient": "all"}
    elif stem == "label_attention":
        asked = {
            "interests": rng.standard_normal((3, 4, 5)),
            "target": rng.standard_normal((3, 5)),
            "active": np.arange(4) < np.array([[2], [3], [4]]),
        }
        numbers = {"power": 2.0}
    else:
        asked = {
            "user": rng.standard_normal((3, 5)),
            "target": rng.standard_normal((3, 5)),
            "negatives": rng.standard_normal((4, 5)),
            "target_ids": np.array([1, 2, 3]),
            "negative_ids": np.array([2, 7, 1, 8]),
            "target_log_expected": rng.standard_normal(3),
            "negative_log_expected": rng.standard_normal(4),
        }
        numbers = {"temperature": 0.5, "normalise": True}
    arrays = [changes.get(name, x) for name, x in asked.items()]
    return arrays, {name: changes.get(name, x) for name, x in numbers.items()}


def answers(operator: Any, asked: Question) -> list[Array]:
    """Result and gradients."""
    arrays, numbers = asked
    out, saved = operator.forward(*arrays, **numbers)
    d_out = np.cos(np.arange(out.size)).reshape(out.shape)
    gradients = operator.backward(d_out, saved)
    return [out, *(gradients if isinstance(gradients, tuple) else (gradients,))]


def distance(found: list[Array], right: list[Array]) -> float:
    """The largest difference over result and gradients, relative to the largest number of each."""
    pairs = zip(found, right, strict=True)
    return max(np.abs(a - b).max() / max(np.abs(b).max(), TOLERANCE) for a, b in pairs)


def of_reference(stem: str, asked: Question) -> list[Array]:
    return answers(getattr(ops, stem), asked)


INNOCENT: dict[Any, dict[str, Any]] = {
    routing.PositionsCompete: {  # one behaviour and one interest: nothing competes on either axis
        "history": np.ones((1, 1, 5)),
        "mask": np.ones((1, 1), bool),
        "init_logits": np.ones((1, 1, 1)),
        "active": np.ones((1, 1), bool),
    },
    routing.LogitsStored: {},  # in its first call
    routing.BatchSharesUpdate: {"iterations": 1},
    routing.AddedToWeights: {"iterations": 1},
    routing.LogitsReplaced: {  # added to zeros, twice the same
        "init_logits": np.zeros((3, 6, 4)),
        "iterations": 2,
        "gradient": "last",
    },
    routing.BiasedVotes: {"mask": np.zeros((3, 6), bool)},
    routing.NoMatrix: {"mask": np.zeros((3, 6), bool)},
    routing.UnitBetweenRounds: {"iterations": 1},
    routing.ThreeRounds: {"iterations": 3},
    routing.GradientOfThirdRound: {"iterations": 3, "gradient": "last"},
    routing.ZeroLogits: {"init_logits": np.zeros((3, 6, 4)), "gradient": "last"},
    routing.InactiveCompete: {"active": np.ones((3, 4), bool)},
    loss.EpsilonSquash: {"x": np.full((2, 3), 1e5)},
    attention.PowerBeforeArgmax: {"power": 2.0},
    attention.RawPower: {"interests": np.ones((3, 4, 5)), "target": np.ones((3, 5))},
    attention.PowerMultiplied: {"power": 1.0},
    attention.AlwaysHard: {"power": np.inf},
    attention.InactiveAttended: {"active": np.ones((3, 4), bool)},
    attention.SizeOneAxis: {"active": np.eye(4, dtype=bool)[:3]},
    loss.NoCorrection: {"target_log_expected": np.ones(3), "negative_log_expected": np.ones(4)},
    loss.HitsKept: {"negative_ids": np.array([6, 7, 8, 9])},
    loss.TemperatureUnused: {"temperature": 1.0},
    loss.UserAloneNormalised: {"normalise": False},
}
GUILTY: dict[Any, dict[str, Any]] = {
    attention.PowerBeforeArgmax: {
        "power": np.inf,
        "interests": -np.eye(4, 5)[None] + np.zeros((3, 1, 1)),
    },
}
"""What a bug needs to show, where it does not in the question as it stands."""


@pytest.mark.parametrize("operator", RIGHT)
def test_an_operator_without_a_bug_agrees_with_the_reference(operator: Callable[[], Any]) -> None:
    stem = operator.stem
    for changes in ({}, {"gradient": "last"}, {"power": 0.0}, {"power": 0.5}, {"power": np.inf}):
        asked = question(stem, **changes)
        assert distance(answers(operator(), asked), of_reference(stem, asked)) < TOLERANCE


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_shows_on_an_ordinary_question(bug: Callable[[], Any]) -> None:
    asked, operator = question(bug.stem, **GUILTY.get(bug, {})), bug()
    answers(operator, asked)  # what is kept between calls shows in the second
    assert distance(answers(operator, asked), of_reference(bug.stem, asked)) > np.sqrt(TOLERANCE)


@pytest.mark.parametrize("bug", BUGS)
def test_where_its_one_step_does_not_matter_a_bug_agrees(bug: Callable[[], Any]) -> None:
    asked = question(bug.stem, **INNOCENT[bug])
    assert distance(answers(bug(), asked), of_reference(bug.stem, asked)) < TOLERANCE


@pytest.mark.parametrize("bug", [b for b in BUGS if b is not routing.LogitsStored])
def test_the_gradient_of_a_bug_is_that_of_its_own_function(bug: Callable[[], Any]) -> None:
    asked, operator = question(bug.stem, **GUILTY.get(bug, {})), bug()
    arrays, numbers = asked
    moving = FLOATS.get(bug.stem, (0,))
    if bug is loss.EpsilonSquash:  # on a scale on which differences can be taken
        arrays = [x * LENGTH / np.abs(x).max() for x in arrays]

    def function(*moved: Array) -> Array:
        given = list(arrays)
        for place, x in zip(moving, moved, strict=True):
            given[place] = x
        return operator.forward(*given, **numbers)[0]

    def slopes(cotangent: Array) -> Any:
        found = operator.backward(cotangent, operator.forward(*arrays, **numbers)[1])
        return found if isinstance(found, tuple) else (found,)

    inputs = [arrays[place] for place in moving]
    gradient.check_gradient(function, slopes, inputs, np.random.default_rng(1), step=gradient.SHORT_STEP)


def test_stored_logits_are_another_answer_to_the_same_question() -> None:
    operator, asked = routing.LogitsStored(), question("routing")
    first, again = (answers(operator, asked)[0] for _ in range(2))
    assert not np.allclose(first, again)


def test_one_or_two_rounds_have_no_gradient_in_the_third_round_alone() -> None:
    asked = question("routing", iterations=2, gradient="last")
    out, d_history, d_bilinear, _ = answers(routing.GradientOfThirdRound(), asked)
    assert np.array_equal(out, answers(Routing(), asked)[0])
    assert not d_history.any()
    assert not d_bilinear.any()


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_a_backend_of_one_operator_with_a_rule_to_break(bug: Any) -> None:
    backend = load_backend(f"tests.public_code.bugs:{bug.__name__}")
    assert backend.capabilities().operators == (bug.stem,)
    assert bug.bug.name
    assert bug.bug.family
    assert bug.bug.breaks.startswith(bug.stem)
