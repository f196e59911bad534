"""What a computation comes to: the list, the entropy, the cosine, the telling numbers; scenes."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.models import mind
from mindref.study import user_summary
from mindref.study.variants import find_variant, setups
from mindref.study.variants.measures import MEASURES
from tests.study import pairs


@pytest.mark.parametrize("score", ["max", "sum"])
def test_the_list_has_the_best_items_in_order(score: str) -> None:
    pair = pairs.make_small_pair(0, score=score)
    found = user_summary.summarise_user(pair)
    items, _ = mind.item_vectors(pair.params, np.arange(30), pair.catalogue)
    each = found.v[found.active] @ items.T
    whole = each.max(axis=0) if score == "max" else each.sum(axis=0)
    order = sorted(range(30), key=lambda item: -whole[item])[:10]
    assert [f.item for f in found.top] == order
    np.testing.assert_allclose([f.score for f in found.top], whole[order])
    assert [f.interest for f in found.top] == each.argmax(axis=0)[order].tolist()


def test_entropy_and_cosine_agree_with_a_hand_computation() -> None:
    found = user_summary.summarise_user(pairs.make_small_pair(0))._replace(
        w=np.array([[0.5, 0.5, 0], [1, 0, 0], [9, 9, 9]]),
        mask=np.array([True, True, False]),
        v=np.array([[2.0, 0], [3, 3], [7, 8]]),
        active=np.array([True, True, False]),
    )
    assert found.entropy == pytest.approx(np.log(2) / 2)
    assert found.cosine == pytest.approx(np.sqrt(0.5))
    assert found.interests == 2


def test_measures_agree_with_a_hand_computation() -> None:
    ours = user_summary.summarise_user(pairs.make_small_pair(0))
    theirs = ours._replace(v=1.5 * ours.v, d_bilinear=-2 * ours.d_bilinear, top=ours.top[:4])
    numbers = {name: measure.of(ours, theirs) for name, measure in MEASURES.items()}
    assert numbers["interest_shift"] == pytest.approx((0, 0.5))
    assert numbers["gradient_cosine"] == pytest.approx((1, -1))
    assert numbers["gradient_error"] == pytest.approx((0, 3))
    assert numbers["shared"] == (10, 4)
    assert numbers["min_behaviour_sum"] == pytest.approx((1, 1))


def test_a_setup_has_its_padding_settings_and_target() -> None:
    pair = pairs.make_small_pair(0, routing_gradient="last")
    padded = setups.apply_setup(pair, find_variant("mask-after-softmax").setup).batch.histories
    assert padded.mask.shape == (1, 39)
    assert padded.mask.sum() == 9
    assert np.ptp(padded.init_logits[0, 9:]) > 0
    assert (
        setups.apply_setup(pair, find_variant("stop-gradient").setup).config.routing_gradient
        == "all"
    )
    turned = setups.apply_setup(pair, find_variant("power-before-sign").setup)
    found = user_summary.summarise_user(turned)
    scores = found.s[found.active]
    assert -scores.min() > abs(scores.max())
    assert pair.batch.histories.mask.shape == (1, 9)


def test_the_other_user_has_other_items() -> None:
    pair = pairs.make_small_pair(0)
    other = setups.other_user(pair)
    assert not np.any(other.batch.histories.items == pair.batch.histories.items)
    assert other.batch.histories.items.max() < 30
