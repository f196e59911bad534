"""Variants of public code: each differs, and violates exactly the invariants of its entry."""

import json
import re

import numpy as np
import pytest

from mindref.conformance.mutants import loader
from mindref.errors import ConfigError
from mindref.models import mind
from mindref.study import variants
from mindref.study.steps import KINDS
from mindref.study.terminal.compare import format_first_difference
from mindref.study.traced_user import open_traced_user
from mindref.study.tracing import trace_pair
from mindref.study.user_summary import summarise_user
from mindref.study.variants import setups
from mindref.study.variants.entries import Setup
from mindref.study.variants.violations import (
    PROPERTIES,
    failed_invariants,
    failed_properties,
    variant_violations,
)
from tests.assertions import nonempty
from tests.study.pairs import SETTINGS, make_built_in_pair, make_small_pair

pytestmark = pytest.mark.slow

NAMES = variants.variant_names()
PAIR_SETTINGS = {"interests": 4, "width": 8, "iterations": 3, "routing_gradient": "all"}


def user(seed=0, **changes):
    return make_small_pair(seed, **{**PAIR_SETTINGS, **changes})


def build_variant(name):
    return loader.build_mutant(variants.find_variant(name).mutant)


def case(name, **changes):
    (comparison,) = variants.compare_variants(user(**changes), [name])
    return comparison


def numbers(comparison):
    measured = zip(comparison.entry.measures, comparison.measured, strict=True)
    return {name: (m.reference, m.variant) for name, m in measured}


def test_every_variant_names_a_repository_a_commit_and_a_date():
    assert len(NAMES) >= 8
    for name in NAMES:
        entry = variants.find_variant(name)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
        assert len(entry.title) <= 60
        assert entry.seen
        for seen in entry.seen:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", seen.repository)
            assert re.fullmatch(r"[0-9a-f]{7,}", seen.commit)
            assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", seen.date)


def test_no_text_of_a_variant_has_a_number_of_one_user():
    for comparison in nonempty(variants.compare_variants(user())):
        told = comparison.to_json()
        assert not re.search(r"\d", told["does"]), told["name"]
        assert not re.search(r"\d", told["no_violation_text"]), told["name"]


def test_padding_shortens_the_capsules_of_a_softmax_over_behaviours():
    reference, variant = numbers(case("mask-after-softmax"))["capsule_length"]
    assert variant < reference < 1


def test_every_variant_differs_and_violates_an_invariant_or_a_property():
    comparisons = variants.compare_variants(user())
    for comparison in comparisons:
        name = comparison.entry.name
        assert comparison.differs, name
        assert any(m.reference != m.variant for m in comparison.measured), name
        assert comparison.violations or comparison.failed_properties, name
        json.dumps(comparison.to_json(), allow_nan=False)
    failed = {x.kind for comparison in comparisons for x in comparison.failed_properties}
    assert failed == {each.name for each in PROPERTIES}


@pytest.mark.slow
def test_the_built_in_user_violates_all_listed_invariants():
    for comparison in nonempty(variants.compare_variants(make_built_in_pair())):
        entry = comparison.entry
        assert comparison.differs, entry.name
        assert {each.kind for each in comparison.violations} == set(entry.violations), entry.name


def test_the_reference_side_equals_the_reference():
    pair = user()
    loss, saved = mind.loss(*pair)
    ours = summarise_user(pair)
    assert ours.loss == float(loss)
    np.testing.assert_array_equal(ours.w, saved.interests.routing.couplings[0])
    np.testing.assert_array_equal(ours.d_bilinear, mind.backward(saved).bilinear)
    rebuilt = summarise_user(pair, loader.build_mutant())
    np.testing.assert_array_equal(rebuilt.v, ours.v)


def test_over_behaviours_the_weights_of_a_behaviour_do_not_sum_to_one():
    measured = numbers(case("softmax-over-behaviours"))
    assert measured["min_behaviour_sum"][0] == pytest.approx(1)
    assert measured["min_behaviour_sum"][1] < 0.9
    assert measured["cosine"][1] > measured["cosine"][0]


def test_zero_logits_give_equal_interests():
    reference, variant = numbers(case("zeros-as-logits", iterations=10))["interest_spread"]
    assert variant == 0 < reference


def test_padding_zeroed_after_softmax_changes_interests_with_its_length():
    pair, built = user(), build_variant("mask-after-softmax")
    alone = summarise_user(pair, built).v
    padded = [setups.pad_history(pair, pads) for pads in (5, 30, 80)]
    gaps = [np.linalg.norm(summarise_user(x, built).v - alone) for x in padded]
    assert 0 < gaps[0] < gaps[1] < gaps[2]
    reference = summarise_user(pair).v
    np.testing.assert_allclose(summarise_user(padded[-1]).v, reference, rtol=1e-12)


def test_kept_logits_depend_on_earlier_users_and_a_comparison_uses_fresh_modules():
    built = build_variant("batch-summed-logits")
    first, second = summarise_user(user(), built), summarise_user(user(), built)
    assert np.abs(first.v - second.v).max() > 1e-3
    assert case("batch-summed-logits").variant.loss == case("batch-summed-logits").variant.loss
    fresh = summarise_user(user(), build_variant("batch-summed-logits"))
    np.testing.assert_array_equal(fresh.v, first.v)


def test_stopping_the_gradient_changes_nothing_but_the_gradient():
    comparison = case("stop-gradient", routing_gradient="last")
    assert comparison.differs == ("gradient",)
    assert 0.5 < numbers(comparison)["gradient_cosine"][1] < 0.9999


def test_wrong_powers_give_weight_to_the_worst_interest():
    raw = numbers(case("power-before-sign"))
    assert raw["weight_of_worst"][1] > raw["weight_of_best"][1]
    assert raw["weight_of_worst"][0] < raw["weight_of_best"][0]
    hard = numbers(case("power-before-argmax"))
    assert hard["weight_of_worst"] == (0, 1)
    assert hard["weight_of_best"] == (1, 0)


def test_wrong_counts_follow_their_formulas():
    assert numbers(case("natural-log-count"))["count"] == (3, 2)  # nine behaviours
    assert numbers(case("count-rounded-up"))["count"] == (3, 4)


def test_five_iterations_without_updates_equal_three():
    comparison = case("no-update-after-iteration-three")
    np.testing.assert_allclose(comparison.variant.w, summarise_user(user()).w, rtol=1e-12)


def test_a_setup_is_described_as_text():
    pair = user()
    scene = Setup({"power": 2.0}, pads=30, other_user_first=True, opposed_target=True)
    said = setups.describe_setup(pair, scene, [f"Film {i}" for i in range(30)])
    target = int(setups.apply_setup(pair, scene).batch.target[0])
    assert f"the target is Film {target}" in said
    assert "power = 2.0; 30 padded positions" in said
    assert setups.describe_setup(pair, Setup()) == ""


def test_an_unknown_name_gives_a_suggestion():
    with pytest.raises(ConfigError, match="softmax-over-behaviours"):
        variants.find_variant("softmax-over-behaviour")


def test_the_table_of_steps_names_every_variant_and_no_other():
    named = {kind.kind: kind.variants for kind in KINDS}
    assert {name for names in named.values() for name in names} == set(NAMES)
    for name in NAMES:
        assert name in named[variants.find_variant(name).step]


def kinds(pair, name):
    entry = variants.find_variant(name)
    violations = variant_violations(setups.apply_setup(pair, entry.setup), entry)
    return {violation.kind for violation in violations}


@pytest.mark.parametrize("name", NAMES)
def test_each_variant_violates_exactly_the_listed_invariants(name):
    entry = variants.find_variant(name)
    assert kinds(user(), name) == set(entry.violations)
    assert bool(entry.no_violation) == (not entry.violations)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "changes", [{"routing_gradient": "last"}, {"interest_count": "fixed"}, {"normalise": True}]
)
def test_other_settings_violate_no_other_invariant(name, changes):
    assert kinds(user(1, **changes), name) <= set(variants.find_variant(name).violations)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.slow(every=6)
def test_the_reference_violates_no_invariant(setting):
    pair = user(0, **SETTINGS[setting])
    assert failed_invariants(trace_pair(pair)) == ()
    for name in NAMES:
        scene = variants.find_variant(name).setup
        assert failed_invariants(trace_pair(setups.apply_setup(pair, scene))) == (), name


@pytest.mark.parametrize("setting", ["paper", "default", "unit"])
def test_the_reference_violates_no_property(setting):
    assert failed_properties(user(0, **SETTINGS[setting]), None) == ()


def test_equal_interests_from_zero_logits_are_no_violation():
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
def test_properties_detect_mistakes_that_need_several_passes(name, failing):
    entry = variants.find_variant(name)
    pair = setups.apply_setup(user(power=2.0), entry.setup)
    assert {a.kind for a in failed_properties(pair, entry.mutant, entry.gradient)} == failing


def test_a_variant_without_effect_names_the_condition():
    pair = open_traced_user(None, rule="most-separated").pair
    names = ("count-always-all", "inactive-interests-revived", "softmax-over-behaviours")
    always, revived, other = variants.compare_variants(pair, names)
    reason = "No number differs: this user has no inactive interest and no padding."
    for comparison in (always, revived):
        assert comparison.no_difference_text.startswith(reason)
        assert "with fewer films: --user ID" in comparison.no_difference_text
    assert revived.effect.startswith("if a user has an inactive interest or padding: inactive")
    assert other.no_difference_text == ""
    assert other.effect == other.entry.effect
    printed = format_first_difference(trace_pair(pair), always, 100, False)
    assert reason in " ".join(line.text.strip() for line in printed)
