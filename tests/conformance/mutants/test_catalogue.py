"""The catalogue of wrong implementations: each can be built, differs, and can be named."""

from __future__ import annotations

import ast
from collections import Counter

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants import anchors, loader
from mindref.conformance.mutants.diagnosis import diagnose, similarity
from mindref.conformance.mutants.loader import Edit, Mutant, backend_of, build_mutant, suite_mutants
from mindref.conformance.runner.call import Answer, Call
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.implementation import BackendImplementation
from mindref.conformance.runner.result import CheckResult
from mindref.errors import ShapeError
from tests import spec_pages

EACH = pytest.mark.parametrize("mutant", suite_mutants(), ids=lambda v: v.name)
FLOAT64 = Precision.of("float64")
JUDGED = {rule for check in all_checks() for rule in check.rules}
UNKNOWN = Mutant(
    name="stranger",
    rule="routing-R3",
    scope=("suite",),
    description="sums are longer, the first twice, the last 1.3 times",
    does="",
    seen="",
    edits=(
        Edit(
            "ops/routing.py",
            "forward: routing-R3",
            "z = sum_votes(weighted_couplings, votes)\n"
            "z = z * np.linspace(2, 1.3, active.shape[1])[:, None]",
        ),
    ),
)
"""A mistake that the catalogue does not know."""


def named(name: str) -> Mutant:
    return next(v for v in suite_mutants() if v.name == name)


def text_of(mutant: Mutant) -> tuple[tuple[str, str], ...]:
    """The files of a mutant as trees, so that comments do not tell two apart."""
    files = sorted({edit.file for edit in mutant.edits})
    by_file = {file: tuple(e for e in mutant.edits if e.file == file) for file in files}
    made = {
        file: anchors.apply_edits(loader.source_text(file), edits)
        for file, edits in by_file.items()
    }
    return tuple((file, ast.dump(ast.parse(text))) for file, text in made.items())


def failed(mutant: Mutant, check: str) -> CheckResult:
    """What comes of a check that a mutant fails."""
    asked = next(c for c in all_checks() if c.name == check)
    result = run_check(
        asked, BackendImplementation(backend_of(mutant)), FLOAT64, ExampleBudget(30, 0, False)
    )
    assert result.status == "failed", result.message
    return result


def test_names_are_unique_and_there_are_enough() -> None:
    assert Counter(v.name for v in suite_mutants()).most_common(1)[0][1] == 1
    assert len(suite_mutants()) >= 120


def test_each_mutant_has_its_own_description() -> None:
    whats = Counter(v.description.strip() for v in suite_mutants())
    assert "" not in whats
    assert [what for what, count in whats.items() if count > 1] == []
    assert not any(v.description.endswith(".") for v in suite_mutants())


def test_every_checked_page_has_mutants() -> None:
    pages_of = {v.page for v in suite_mutants()}
    for page in ("routing", "relu_layer", "softmax", "squash", "label_attention", "embedding"):
        rules = {rule for rule in spec_pages.rules(page) if rule in JUDGED}
        assert rules <= {v.rule for v in suite_mutants()}, page
        assert page in pages_of


@EACH
def test_a_mutant_breaks_a_rule_of_a_checked_page(mutant: Mutant) -> None:
    assert mutant.rule in spec_pages.rules(mutant.page)
    assert mutant.rule in JUDGED


@EACH
@pytest.mark.slow(every=4)
def test_a_mutant_can_be_built_and_is_not_the_reference(mutant: Mutant) -> None:
    assert build_mutant(mutant).ops.routing is not build_mutant(mutant).ops.routing
    for file, tree in text_of(mutant):
        assert tree != ast.dump(ast.parse(loader.source_text(file)))


def test_no_two_mutants_of_a_page_are_the_same_edit() -> None:
    made = Counter((v.page, text_of(v)) for v in suite_mutants())
    assert max(made.values()) == 1


def test_two_builds_share_no_state() -> None:
    mutant, call = named("routing-logits-kept-between-calls"), routed()
    first, second = (BackendImplementation(backend_of(mutant)) for _ in range(2))
    fresh = first.answer(call)["out"]
    assert not np.array_equal(first.answer(call)["out"], fresh)
    assert np.array_equal(second.answer(call)["out"], fresh)


def test_the_reference_is_not_touched_by_a_mutant() -> None:
    call = routed()
    before = BackendImplementation(backend_of()).answer(call)["out"]
    wrong = BackendImplementation(backend_of(named("squash-without-square"))).answer(call)["out"]
    assert not np.array_equal(wrong, before)
    assert np.array_equal(BackendImplementation(backend_of()).answer(call)["out"], before)


@pytest.mark.parametrize("at", ["forward: routing-R99", "forward: record("])
def test_an_anchor_that_does_not_match_once_raises(at: str) -> None:
    bad = UNKNOWN._replace(edits=(Edit("ops/routing.py", at, "pass"),))
    with pytest.raises(ValueError, match=r"ops/routing\.py.*exactly one must match"):
        build_mutant(bad)


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
@pytest.mark.slow(every=3)
def test_a_known_mistake_is_named(name: str, check: str) -> None:
    mutant = named(name)
    said = diagnose(BackendImplementation(backend_of(mutant)), failed(mutant, check))
    prefix = "your result equals the reference with this mistake:"
    assert said.startswith(f"{prefix} {mutant.description} [")
    assert f"[{name}, {mutant.rule}" in said
    assert "(100.0 % of the residual" in said


@pytest.mark.rules("conformance-R16")
def test_an_unknown_mistake_is_not_named() -> None:
    said = diagnose(
        BackendImplementation(backend_of(UNKNOWN)),
        failed(UNKNOWN, "routing/two_iterations_match_the_reference"),
    )
    assert said.startswith("no match among the known mistakes")


class Lax(BackendImplementation):
    """Wrong for short capsules, and an answer to whatever should have been refused."""

    def __init__(self) -> None:
        super().__init__(backend_of(named("squash-epsilon-under-the-root")))

    def answer(self, call: Call) -> Answer:
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
def test_an_answered_invalid_call_is_diagnosed_by_itself(check: str, name: str) -> None:
    asked = next(c for c in all_checks() if c.name == check)
    result = run_check(asked, Lax(), Precision.of("float32"), ExampleBudget(30, 0, False))
    assert result.evidence is not None
    assert result.evidence.kind == "answered"
    said = diagnose(Lax(), result)
    assert "epsilon" not in said
    if name:
        assert f"[{name}, " in said
    else:
        assert said.startswith("no match among the known mistakes")


def routed() -> Call:
    rng = np.random.default_rng(0)
    arrays = {
        "history": rng.standard_normal((2, 3, 4)),
        "mask": np.ones((2, 3), bool),
        "bilinear": rng.standard_normal((4, 4)),
        "init_logits": rng.standard_normal((2, 3, 5)),
        "active": np.ones((2, 5), bool),
    }
    return Call("routing", arrays, {"iterations": 3, "gradient": "last"})


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
def test_finite_and_infinite_residuals_must_both_be_explained(
    mine: list[float], theirs: list[float], share: float
) -> None:
    assert similarity(np.array(mine), np.array(theirs)) == share
