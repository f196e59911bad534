"""The variant bench: every entry deviates, as its source does, and the reference side is ours."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.study import outcome, variants
from mindref.study.steps import KINDS
from mindref.study.variants import scenes
from mindref.study.variants.entries import Scene
from tests.study import small


def user(**changes: object) -> small.Given:
    settings = {"interests": 4, "width": 8, "iterations": 3, "routing_gradient": "all"}
    return small.given(0, **{**settings, **changes})  # type: ignore[arg-type]


def case(name: str, **changes: object) -> variants.Case:
    (found,) = variants.bench(user(**changes), [name])
    return found


def numbers(found: variants.Case) -> dict[str, tuple[float, float]]:
    measured = zip(found.entry.measured, found.measured, strict=True)
    return {name: (m.reference, m.variant) for name, m in measured}


def test_there_are_enough_and_each_says_where_it_was_seen() -> None:
    assert len(variants.names()) >= 8
    for name in variants.names():
        entry = variants.find(name)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
        assert len(entry.title) <= 60
        assert entry.seen
        for seen in entry.seen:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", seen.repository)
            assert re.fullmatch(r"[0-9a-f]{7,}", seen.commit)
            assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", seen.date)


@pytest.mark.slow
def test_every_variant_differs_and_can_be_written_down() -> None:
    for found in variants.bench(user()):
        assert found.differs, found.entry.name
        assert any(m.reference != m.variant for m in found.measured), found.entry.name
        json.dumps(found.to_json(), allow_nan=False)


def test_the_reference_side_is_the_library() -> None:
    given = user()
    loss, saved = mind.loss(*given)
    ours = outcome.outcome(given)
    assert ours.loss == float(loss)
    np.testing.assert_array_equal(ours.w, saved.interests.routing.couplings[0])
    np.testing.assert_array_equal(ours.d_bilinear, mind.backward(saved).bilinear)
    rebuilt = outcome.outcome(given, variants.bench.__globals__["loader"].build())
    np.testing.assert_array_equal(rebuilt.u, ours.u)


def test_over_behaviours_nobody_shares_out_one_whole() -> None:
    found = numbers(case("softmax-over-behaviours"))
    assert found["spent_least"][0] == pytest.approx(1)
    assert found["spent_least"][1] < 0.9
    assert found["cosine"][1] > found["cosine"][0]


def test_from_zeros_all_interests_are_one() -> None:
    reference, variant = numbers(case("zeros-as-logits", iterations=10))["widest"]
    assert variant == 0 < reference


def test_padding_zeroed_afterwards_moves_interests_the_more_the_more_there_is() -> None:
    given, built = user(), variants.built("mask-after-softmax")
    alone = outcome.outcome(given, built).u
    gaps = [
        np.linalg.norm(outcome.outcome(scenes.padded(given, pads), built).u - alone)
        for pads in (5, 30, 80)
    ]
    assert 0 < gaps[0] < gaps[1] < gaps[2]
    ours = outcome.outcome(given).u
    np.testing.assert_allclose(outcome.outcome(scenes.padded(given, 80)).u, ours, rtol=1e-12)


def test_kept_logits_depend_on_who_came_before_and_the_bench_starts_afresh() -> None:
    built = variants.built("batch-summed-logits")
    first, second = outcome.outcome(user(), built), outcome.outcome(user(), built)
    assert np.abs(first.u - second.u).max() > 1e-3
    assert case("batch-summed-logits").variant.loss == case("batch-summed-logits").variant.loss
    fresh = outcome.outcome(user(), variants.built("batch-summed-logits"))
    np.testing.assert_array_equal(fresh.u, first.u)


def test_stopping_the_gradient_changes_nothing_but_the_gradient() -> None:
    found = case("stop-gradient", routing_gradient="last")
    assert found.differs == ("gradient",)
    assert 0.5 < numbers(found)["gradient_cosine"][1] < 0.9999


def test_powers_read_the_interest_that_fits_worst() -> None:
    raw = numbers(case("power-before-sign"))
    assert raw["worst"][1] > raw["best"][1]
    assert raw["worst"][0] < raw["best"][0]
    hard = numbers(case("power-before-argmax"))
    assert hard["worst"] == (0, 1)
    assert hard["best"] == (1, 0)


def test_counts_follow_their_rules() -> None:
    assert numbers(case("natural-log-count"))["count"] == (3, 2)  # nine behaviours
    assert numbers(case("count-rounded-up"))["count"] == (3, 4)


def test_five_rounds_without_an_update_are_three() -> None:
    found = case("nothing-after-round-three")
    np.testing.assert_allclose(found.variant.w, outcome.outcome(user()).w, rtol=1e-12)


def test_a_scene_is_said_in_words() -> None:
    given = user()
    scene = Scene({"power": 2.0}, 30, True, True)
    said = scenes.said(given, scene, [f"Film {i}" for i in range(30)])
    target = int(scenes.set_up(given, scene).batch.target[0])
    assert f"the target is Film {target}" in said
    assert "power = 2.0; 30 padded places" in said
    assert scenes.said(given, Scene({}, 0, False, False)) == ""


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="softmax-over-behaviours"):
        variants.find("softmax-over-behaviour")


def test_the_table_of_steps_names_every_variant_and_no_other() -> None:
    named = {name: kind.kind for kind in KINDS for name in kind.variants}
    assert set(named) == set(variants.names())
    for kind in KINDS:
        assert set(variants.of_step(kind.kind)) <= set(kind.variants), kind.kind


def test_steps_know_their_variants() -> None:
    assert "softmax-over-behaviours" in variants.of_step("routing.weights")
    every = {
        name for name in variants.names() if name in variants.of_step(variants.find(name).step)
    }
    assert every == set(variants.names())
    assert variants.of_step("no.such") == ()
