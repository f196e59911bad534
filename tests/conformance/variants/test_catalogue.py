"""The catalogue of wrong implementations: each can be built, differs, and can be named."""

from __future__ import annotations

import ast
from collections import Counter

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.judging.call import Answer, Call
from mindref.conformance.judging.check import all_checks
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.variants import loader
from mindref.conformance.variants.diagnosis import alike, diagnose
from mindref.conformance.variants.loader import Edit, Variant, backend_of, build, catalogue
from mindref.errors import ShapeError
from tests import pages

EACH = pytest.mark.parametrize("variant", catalogue(), ids=lambda v: v.name)
FLOAT64 = Precision.of("float64")
JUDGED = {rule for check in all_checks() for rule in check.rules}
UNKNOWN = Variant(
    "stranger",
    "routing-R3",
    "sums are longer, the first twice, the last 1.3 times",
    "",
    "",
    (
        Edit(
            "ops/routing.py",
            "sums = gather(counted, votes)",
            "sums = gather(counted, votes) * np.linspace(2, 1.3, active.shape[1])[:, None]",
        ),
    ),
)
"""A mistake that the catalogue does not know."""


def named(name: str) -> Variant:
    return next(v for v in catalogue() if v.name == name)


def text_of(variant: Variant) -> tuple[tuple[str, str], ...]:
    """The files of a variant as trees, so that comments do not tell two apart."""
    files = sorted({edit.file for edit in variant.edits})
    by_file = {file: tuple(e for e in variant.edits if e.file == file) for file in files}
    made = {file: loader.edited(loader.source(file), edits) for file, edits in by_file.items()}
    return tuple((file, ast.dump(ast.parse(text))) for file, text in made.items())


def failed(variant: Variant, check: str) -> Result:
    """What comes of a check that a variant fails."""
    asked = next(c for c in all_checks() if c.name == check)
    result = run_check(asked, OfBackend(backend_of(variant)), FLOAT64, Effort(30, 0, False))
    assert result.status == "failed", result.message
    return result


def test_names_are_unique_and_there_are_enough() -> None:
    assert Counter(v.name for v in catalogue()).most_common(1)[0][1] == 1
    assert len(catalogue()) >= 120


def test_each_says_in_words_of_its_own_what_it_does_wrong() -> None:
    whats = Counter(v.what.strip() for v in catalogue())
    assert "" not in whats
    assert [what for what, count in whats.items() if count > 1] == []
    assert not any(v.what.endswith(".") for v in catalogue())


def test_a_page_that_is_judged_has_variants() -> None:
    pages_of = {v.page for v in catalogue()}
    for page in ("routing", "relu_layer", "softmax", "squash", "label_attention", "embedding"):
        rules = {rule for rule in pages.rules(page) if rule in JUDGED}
        assert rules <= {v.breaks for v in catalogue()}, page
        assert page in pages_of


@EACH
def test_a_variant_breaks_a_rule_of_a_page_that_is_judged(variant: Variant) -> None:
    assert variant.breaks in pages.rules(variant.page)
    assert variant.breaks in JUDGED


@EACH
@pytest.mark.slow(every=4)
def test_a_variant_can_be_built_and_is_not_the_reference(variant: Variant) -> None:
    assert build(variant).ops.routing is not build(variant).ops.routing
    for file, tree in text_of(variant):
        assert tree != ast.dump(ast.parse(loader.source(file)))


def test_no_two_variants_of_a_page_are_the_same_edit() -> None:
    made = Counter((v.page, text_of(v)) for v in catalogue())
    assert max(made.values()) == 1


def test_two_builds_share_no_state() -> None:
    variant, call = named("routing-logits-kept-between-calls"), routed()
    first, second = (OfBackend(backend_of(variant)) for _ in range(2))
    fresh = first.answer(call)["out"]
    assert not np.array_equal(first.answer(call)["out"], fresh)
    assert np.array_equal(second.answer(call)["out"], fresh)


def test_the_reference_is_not_touched_by_a_variant() -> None:
    call = routed()
    before = OfBackend(backend_of()).answer(call)["out"]
    wrong = OfBackend(backend_of(named("squash-without-square"))).answer(call)["out"]
    assert not np.array_equal(wrong, before)
    assert np.array_equal(OfBackend(backend_of()).answer(call)["out"], before)


@pytest.mark.parametrize("old", ["no such line", "import"])
def test_an_edit_that_does_not_stand_once_is_refused(old: str) -> None:
    bad = UNKNOWN._replace(edits=(Edit("ops/routing.py", old, "pass"),))
    with pytest.raises(ValueError, match=r"ops/routing\.py.* not once"):
        build(bad)


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("softmax-base-two", "softmax/weights_are_those_of_the_reference"),
        ("squash-without-square", "squash/capsules_are_those_of_the_reference"),
        ("routing-softmax-over-behaviours", "routing/two_rounds_agree"),
        (
            "routing-gradient-of-the-update-doubled",
            "routing_gradient/through_two_rounds_the_gradient_of_the_history_agrees",
        ),
        ("scores-are-cosines", "label_attention/plain_products_agree"),
        ("first-field-only", "model/interests_are_those_of_the_reference"),
        ("relu-layer-leaky", "relu_layer/rows_are_those_of_the_reference"),
        ("relu-layer-nan-becomes-zero", "relu_layer/a_nan_is_not_taken_for_a_number_below_zero"),
        ("routing-any-axis-is-interests", "routing/an_unknown_axis_is_refused"),
    ],
)
@pytest.mark.slow(every=3)
def test_a_known_mistake_is_named(name: str, check: str) -> None:
    variant = named(name)
    said = diagnose(OfBackend(backend_of(variant)), failed(variant, check))
    assert said.startswith(f"your result equals the reference with this mistake: {variant.what} [")
    assert f"[{name}, {variant.breaks}" in said
    assert "(100.0 % of the residual" in said


@pytest.mark.rules("conformance-R16")
def test_an_unknown_mistake_is_not_named() -> None:
    said = diagnose(OfBackend(backend_of(UNKNOWN)), failed(UNKNOWN, "routing/two_rounds_agree"))
    assert said.startswith("no match among the known mistakes")


class Lax(OfBackend):
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
        ("routing/an_unknown_gradient_is_refused", "routing-any-gradient-is-all"),
        ("numerics/mixed_types_are_refused[routing]", "mixed-types-taken"),
        ("numerics/masks_of_numbers_are_refused[routing]", "masks-of-numbers-taken"),
        ("notation/another_number_of_axes_is_refused[routing]", ""),
    ],
)
def test_who_answers_what_is_to_be_refused_is_not_told_of_other_mistakes(
    check: str, name: str
) -> None:
    asked = next(c for c in all_checks() if c.name == check)
    result = run_check(asked, Lax(), Precision.of("float32"), Effort(30, 0, False))
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
    assert alike(np.array(mine), np.array(theirs)) == share
