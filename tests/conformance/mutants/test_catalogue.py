"""The catalogue of wrong implementations: mutants differ, share no state, and are diagnosed.

tests/test_mutants.py tests names, rules and anchors; `pytest --mutants all` runs all mutants.
"""

import ast
from collections import Counter

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.golden.golden import load_cases
from mindref.conformance.mutants import anchors, loader
from mindref.conformance.mutants.deviation import similarity
from mindref.conformance.mutants.diagnosis import diagnose_failures
from mindref.conformance.mutants.loader import Edit, Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.errors import ShapeError

UNKNOWN = Mutant(
    name="not-in-the-catalogue",
    rule="routing-R3",
    scope=("suite",),
    description="sums are longer, the first twice, the last 1.3 times",
    does="",
    seen="",
    edits=(
        Edit(
            "ops/routing.py",
            "forward: routing-R3",
            "z = sum_votes(weighted_couplings, votes)"
            " * np.linspace(2, 1.3, active.shape[1])[:, None]",
        ),
    ),
)
"""A mistake that is not in the catalogue."""

ROUTING_CALL = load_cases("routing")["all_iterations"].call.forward_only()


def named(name):
    return next(v for v in suite_mutants() if v.name == name)


def syntax_trees(mutant):
    """Return the edited files of a mutant as syntax trees, without comments."""
    trees = []
    for file in sorted({edit.file for edit in mutant.edits}):
        edits = [edit for edit in mutant.edits if edit.file == file]
        text = anchors.apply_edits(loader.source_text(file), edits)
        trees.append((file, ast.dump(ast.parse(text))))
    return tuple(trees)


def check_result(implementation, name, dtype="float64"):
    check = next(c for c in all_checks() if c.name == name)
    budget = ExampleBudget(30, 0, shrink=False)
    return run_check(check, implementation, Precision.of(dtype), budget)


def diagnosis_of(mutant, check):
    implementation = BackendImplementation(backend_of(mutant))
    result = check_result(implementation, check)
    assert result.status == "failed", result.message
    return diagnose_failures(implementation, [result])[check]


def test_each_mutant_has_its_own_description():
    descriptions = [v.description.strip() for v in suite_mutants()]
    assert len(set(descriptions)) == len(descriptions) >= 120
    assert not any(text == "" or text.endswith(".") for text in descriptions)


def test_no_two_mutants_of_a_page_are_the_same_edit():
    made = Counter((v.page, syntax_trees(v)) for v in suite_mutants())
    assert max(made.values()) == 1


def test_two_builds_share_no_state():
    mutant, call = named("routing-logits-kept-between-calls"), ROUTING_CALL
    first, second = (BackendImplementation(backend_of(mutant)) for _ in range(2))
    fresh = first.answer(call)["out"]
    assert not np.array_equal(first.answer(call)["out"], fresh)
    assert np.array_equal(second.answer(call)["out"], fresh)


def test_the_reference_is_not_touched_by_a_mutant():
    call = ROUTING_CALL
    before = BackendImplementation(backend_of()).answer(call)["out"]
    wrong = BackendImplementation(backend_of(named("squash-without-square"))).answer(call)["out"]
    assert not np.array_equal(wrong, before)
    assert np.array_equal(BackendImplementation(backend_of()).answer(call)["out"], before)


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("softmax-base-two", "softmax/weights_match_the_reference"),
        ("squash-without-square", "squash/squash_matches_the_reference"),
        ("routing-softmax-over-behaviours", "routing/two_iterations_match_the_reference"),
        (
            "routing-gradient-of-the-update-doubled",
            "routing/two_iterations_history_gradient_matches",
        ),
        ("scores-are-cosines", "label_attention/power_one_matches_the_reference"),
        ("first-field-only", "model/interests_match_the_reference"),
        ("relu-layer-leaky", "relu_layer/relu_layer_matches_the_reference"),
        ("relu-layer-nan-becomes-zero", "relu_layer/relu_propagates_nan"),
        ("routing-any-axis-is-interests", "routing/unknown_axis_raises"),
    ],
)
@pytest.mark.slow(every=3, start=1)
def test_a_known_mistake_is_named(name, check):
    mutant = named(name)
    diagnosis = diagnosis_of(mutant, check)
    prefix = "your result equals the reference with this mistake:"
    assert diagnosis.startswith(f"{prefix} {mutant.description} [{name}, {mutant.rule}")
    assert "(100.0 % of the residual" in diagnosis


@pytest.mark.rules("conformance-R16")
def test_an_unknown_mistake_is_not_named():
    diagnosis = diagnosis_of(UNKNOWN, "routing/two_iterations_match_the_reference")
    assert diagnosis.startswith("no match among the known mistakes")


class Lax(BackendImplementation):
    """Wrong for short capsules, and returns zeros for every invalid call."""

    def __init__(self):
        super().__init__(backend_of(named("squash-epsilon-under-the-root")))

    def answer(self, call):
        try:
            return super().answer(call)
        except ShapeError:
            return {"out": np.zeros(1, call.dtype)}


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize(
    ("check", "name"),
    [
        ("routing/unknown_gradient_raises", "routing-any-gradient-is-all"),
        ("numerics/mixed_dtypes_raise[routing]", "mixed-dtypes-accepted"),
        ("numerics/non_boolean_masks_raise[routing]", "numeric-masks-accepted"),
        ("notation/wrong_number_of_axes_raises[routing]", ""),
    ],
)
def test_an_answered_invalid_call_is_diagnosed_by_itself(check, name):
    result = check_result(Lax(), check, "float32")
    assert result.evidence is not None
    assert result.evidence.kind == "answered"
    diagnosis = diagnose_failures(Lax(), [result])[check]
    assert "epsilon" not in diagnosis
    expected = f"[{name}, " if name else "no match among the known mistakes"
    assert expected in diagnosis
    assert bool(name) or diagnosis.startswith(expected)


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize(
    ("mine", "theirs", "share"),
    [
        ([1.0, 2.0], [1.0, 2.0], 1.0),
        ([np.inf, 5.0, -3.0], [np.inf, 0.0, 0.0], 0.0),  # the finite ones are not explained
        ([np.inf, 5.0], [-np.inf, 5.0], 0.0),
        ([np.inf, 0.0], [np.inf, 0.0], 1.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
    ],
)
def test_finite_and_infinite_residuals_must_both_be_explained(mine, theirs, share):
    assert similarity(np.array(mine), np.array(theirs)) == share
