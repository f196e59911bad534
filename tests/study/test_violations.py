"""Each variant violates exactly the invariants of its entry; the reference violates none."""

from __future__ import annotations

from typing import Any

import pytest

from mindref.study import variants
from mindref.study.gradients.ledger import make_ledger
from mindref.study.models.study_model import choose_user, open_study_model, sample_pair
from mindref.study.tracing import TrainingPair, trace_pair
from mindref.study.variants import setups
from mindref.study.variants.violations import (
    PROPERTIES,
    failed_invariants,
    failed_properties,
    variant_violations,
)
from tests.study import small_pair


def user(seed: int = 0, **changes: Any) -> TrainingPair:
    settings = {"interests": 4, "width": 8, "iterations": 3, "routing_gradient": "all"}
    return TrainingPair(*small_pair.make_small_pair(seed, **{**settings, **changes}))


def kinds(pair: TrainingPair, name: str) -> set[str]:
    entry = variants.find_variant(name)
    return {
        violation.kind
        for violation in variant_violations(setups.apply_setup(pair, entry.setup), entry)
    }


@pytest.mark.parametrize("name", variants.variant_names())
def test_each_variant_violates_exactly_the_listed_invariants(name: str) -> None:
    entry = variants.find_variant(name)
    assert kinds(user(), name) == set(entry.violations)
    assert bool(entry.no_violation) == (not entry.violations)


@pytest.mark.parametrize("name", variants.variant_names())
@pytest.mark.parametrize(
    "changes", [{"routing_gradient": "last"}, {"interest_count": "fixed"}, {"normalise": True}]
)
def test_other_settings_violate_no_other_invariant(name: str, changes: dict[str, Any]) -> None:
    assert kinds(user(1, **changes), name) <= set(variants.find_variant(name).violations)


@pytest.mark.parametrize("setting", small_pair.SETTINGS)
@pytest.mark.slow(every=3)
def test_the_reference_violates_no_invariant(setting: str) -> None:
    pair = user(0, **{**small_pair.SETTINGS[setting]})
    assert failed_invariants(trace_pair(pair)) == ()
    for name in variants.variant_names():
        scene = variants.find_variant(name).setup
        assert failed_invariants(trace_pair(setups.apply_setup(pair, scene))) == (), name


@pytest.mark.parametrize("setting", ["paper", "default", "unit"])
def test_the_reference_violates_no_property(setting: str) -> None:
    assert failed_properties(user(0, **small_pair.SETTINGS[setting]), None) == ()


def test_equal_interests_from_zero_logits_are_no_violation() -> None:
    pair = user(0)
    histories = pair.batch.histories
    zero = histories._replace(init_logits=0 * histories.init_logits)
    assert failed_properties(pair._replace(batch=pair.batch._replace(histories=zero)), None) == ()


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("zeros-as-logits", {"distinct"}),
        ("batch-summed-logits", {"repeatable", "independent-of-other-users"}),
        (
            "redrawn-at-every-call",
            {"repeatable", "independent-of-other-users", "independent-of-padding"},
        ),
        ("mask-after-softmax", {"independent-of-padding"}),
        ("stop-gradient", {"exact-gradient"}),
        ("softmax-over-behaviours", set()),
    ],
)
def test_properties_detect_mistakes_that_need_several_passes(name: str, failing: set[str]) -> None:
    entry = variants.find_variant(name)
    here = setups.apply_setup(user(power=2.0), entry.setup)
    assert {a.kind for a in failed_properties(here, entry.mutant, entry.gradient)} == failing


def test_every_variant_violates_an_invariant_or_a_property() -> None:
    for case in variants.compare_variants(user()):
        assert case.violations or case.failed_properties, case.entry.name


@pytest.mark.slow
def test_every_property_is_violated_by_a_variant() -> None:
    found = {x.kind for case in variants.compare_variants(user()) for x in case.failed_properties}
    assert found == {each.name for each in PROPERTIES}


def built_in(rule: str = "median") -> TrainingPair:
    study_model = open_study_model()
    model = study_model.model
    batch = sample_pair(study_model, choose_user(study_model, rule).user).batch
    return TrainingPair(model.params, batch, model.catalogue, model.config)


@pytest.mark.slow
def test_the_built_in_user_violates_all_listed_invariants() -> None:
    for case in variants.compare_variants(built_in()):
        assert case.differs, case.entry.name
        assert {each.kind for each in case.violations} == set(case.entry.violations), (
            case.entry.name
        )


def test_the_ledger_of_the_built_in_user_sums_to_the_total() -> None:
    for by in ("Se", "S", "e"):
        found = make_ledger(built_in(), by)
        assert found.residual < 1e-9
        assert found.last_residual < 1e-9
        assert all(row.check.error < 1e-6 for row in found.rows)
        assert all(row.check.checked == row.closed.size for row in found.rows)
