"""The variant bench: every entry deviates, as its source does, and the reference side is ours."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.study import user_summary, variants
from mindref.study.steps import KINDS
from mindref.study.variants import setups
from mindref.study.variants.entries import Setup
from tests.study import small_pair


def user(**changes: object) -> small_pair.TrainingPair:
    settings = {"interests": 4, "width": 8, "iterations": 3, "routing_gradient": "all"}
    return small_pair.make_small_pair(0, **{**settings, **changes})  # type: ignore[arg-type]


def case(name: str, **changes: object) -> variants.VariantComparison:
    (found,) = variants.compare_variants(user(**changes), [name])
    return found


def numbers(found: variants.VariantComparison) -> dict[str, tuple[float, float]]:
    measured = zip(found.entry.measures, found.measured, strict=True)
    return {name: (m.reference, m.variant) for name, m in measured}


def test_every_variant_names_a_repository_a_commit_and_a_date() -> None:
    assert len(variants.variant_names()) >= 8
    for name in variants.variant_names():
        entry = variants.find_variant(name)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
        assert len(entry.title) <= 60
        assert entry.seen
        for seen in entry.seen:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", seen.repository)
            assert re.fullmatch(r"[0-9a-f]{7,}", seen.commit)
            assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", seen.date)


@pytest.mark.slow
def test_every_variant_differs_and_is_json() -> None:
    for found in variants.compare_variants(user()):
        assert found.differs, found.entry.name
        assert any(m.reference != m.variant for m in found.measured), found.entry.name
        json.dumps(found.to_json(), allow_nan=False)


def test_the_reference_side_equals_the_reference() -> None:
    pair = user()
    loss, saved = mind.loss(*pair)
    ours = user_summary.summarise_user(pair)
    assert ours.loss == float(loss)
    np.testing.assert_array_equal(ours.w, saved.interests.routing.couplings[0])
    np.testing.assert_array_equal(ours.d_bilinear, mind.backward(saved).bilinear)
    rebuilt = user_summary.summarise_user(
        pair, variants.compare_variants.__globals__["loader"].build_mutant()
    )
    np.testing.assert_array_equal(rebuilt.v, ours.v)


def test_over_behaviours_the_weights_of_a_behaviour_do_not_sum_to_one() -> None:
    found = numbers(case("softmax-over-behaviours"))
    assert found["min_behaviour_sum"][0] == pytest.approx(1)
    assert found["min_behaviour_sum"][1] < 0.9
    assert found["cosine"][1] > found["cosine"][0]


def test_zero_logits_give_equal_interests() -> None:
    reference, variant = numbers(case("zeros-as-logits", iterations=10))["interest_spread"]
    assert variant == 0 < reference


def test_padding_zeroed_after_softmax_changes_interests_with_its_length() -> None:
    pair, built = user(), variants.build_variant("mask-after-softmax")
    alone = user_summary.summarise_user(pair, built).v
    gaps = [
        np.linalg.norm(user_summary.summarise_user(setups.pad_history(pair, pads), built).v - alone)
        for pads in (5, 30, 80)
    ]
    assert 0 < gaps[0] < gaps[1] < gaps[2]
    ours = user_summary.summarise_user(pair).v
    np.testing.assert_allclose(
        user_summary.summarise_user(setups.pad_history(pair, 80)).v, ours, rtol=1e-12
    )


def test_kept_logits_depend_on_earlier_users_and_a_comparison_uses_fresh_modules() -> None:
    built = variants.build_variant("batch-summed-logits")
    first, second = (
        user_summary.summarise_user(user(), built),
        user_summary.summarise_user(user(), built),
    )
    assert np.abs(first.v - second.v).max() > 1e-3
    assert case("batch-summed-logits").variant.loss == case("batch-summed-logits").variant.loss
    fresh = user_summary.summarise_user(user(), variants.build_variant("batch-summed-logits"))
    np.testing.assert_array_equal(fresh.v, first.v)


def test_stopping_the_gradient_changes_nothing_but_the_gradient() -> None:
    found = case("stop-gradient", routing_gradient="last")
    assert found.differs == ("gradient",)
    assert 0.5 < numbers(found)["gradient_cosine"][1] < 0.9999


def test_wrong_powers_give_weight_to_the_worst_interest() -> None:
    raw = numbers(case("power-before-sign"))
    assert raw["weight_of_worst"][1] > raw["weight_of_best"][1]
    assert raw["weight_of_worst"][0] < raw["weight_of_best"][0]
    hard = numbers(case("power-before-argmax"))
    assert hard["weight_of_worst"] == (0, 1)
    assert hard["weight_of_best"] == (1, 0)


def test_wrong_counts_follow_their_formulas() -> None:
    assert numbers(case("natural-log-count"))["count"] == (3, 2)  # nine behaviours
    assert numbers(case("count-rounded-up"))["count"] == (3, 4)


def test_five_iterations_without_updates_equal_three() -> None:
    found = case("no-update-after-iteration-three")
    np.testing.assert_allclose(found.variant.w, user_summary.summarise_user(user()).w, rtol=1e-12)


def test_a_setup_is_described_as_text() -> None:
    pair = user()
    scene = Setup({"power": 2.0}, 30, True, True)
    said = setups.describe_setup(pair, scene, [f"Film {i}" for i in range(30)])
    target = int(setups.apply_setup(pair, scene).batch.target[0])
    assert f"the target is Film {target}" in said
    assert "power = 2.0; 30 padded positions" in said
    assert setups.describe_setup(pair, Setup({}, 0, False, False)) == ""


def test_an_unknown_name_gives_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="softmax-over-behaviours"):
        variants.find_variant("softmax-over-behaviour")


def test_the_table_of_steps_names_every_variant_and_no_other() -> None:
    named = {name: kind.kind for kind in KINDS for name in kind.variants}
    assert set(named) == set(variants.variant_names())
    for kind in KINDS:
        assert set(variants.variants_of_step(kind.kind)) <= set(kind.variants), kind.kind


def test_variants_are_found_by_step() -> None:
    assert "softmax-over-behaviours" in variants.variants_of_step("routing.weights")
    every = {
        name
        for name in variants.variant_names()
        if name in variants.variants_of_step(variants.find_variant(name).step)
    }
    assert every == set(variants.variant_names())
    assert variants.variants_of_step("no.such") == ()
