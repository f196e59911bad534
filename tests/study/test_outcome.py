"""What a computation comes to: the list, the entropy, the cosine, the telling numbers; scenes."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.models import mind
from mindref.study import outcome
from mindref.study.variants import find, scenes
from mindref.study.variants.measures import MEASURES
from tests.study import small


@pytest.mark.parametrize("score", ["max", "sum"])
def test_the_list_has_the_best_items_in_order(score: str) -> None:
    given = small.given(0, score=score)
    found = outcome.outcome(given)
    items, _ = mind.item_vectors(given.params, np.arange(30), given.catalogue)
    each = found.u[found.active] @ items.T
    whole = each.max(axis=0) if score == "max" else each.sum(axis=0)
    order = sorted(range(30), key=lambda item: -whole[item])[:10]
    assert [f.item for f in found.top] == order
    np.testing.assert_allclose([f.score for f in found.top], whole[order])
    assert [f.interest for f in found.top] == each.argmax(axis=0)[order].tolist()


def test_entropy_and_cosine_by_hand() -> None:
    found = outcome.outcome(small.given(0))._replace(
        w=np.array([[0.5, 0.5, 0], [1, 0, 0], [9, 9, 9]]),
        mask=np.array([True, True, False]),
        u=np.array([[2.0, 0], [3, 3], [7, 8]]),
        active=np.array([True, True, False]),
    )
    assert found.entropy == pytest.approx(np.log(2) / 2)
    assert found.cosine == pytest.approx(np.sqrt(0.5))
    assert found.interests == 2


def test_telling_numbers_by_hand() -> None:
    ours = outcome.outcome(small.given(0))
    theirs = ours._replace(u=1.5 * ours.u, d_bilinear=-2 * ours.d_bilinear, top=ours.top[:4])
    numbers = {name: measure.of(ours, theirs) for name, measure in MEASURES.items()}
    assert numbers["moved"] == pytest.approx((0, 0.5))
    assert numbers["gradient_cosine"] == pytest.approx((1, -1))
    assert numbers["gradient_off"] == pytest.approx((0, 3))
    assert numbers["shared"] == (10, 4)
    assert numbers["spent_least"] == pytest.approx((1, 1))


def test_a_scene_has_its_padding_its_settings_and_its_target() -> None:
    given = small.given(0, routing_gradient="last")
    padded = scenes.set_up(given, find("mask-after-softmax").scene).batch.histories
    assert padded.mask.shape == (1, 39)
    assert padded.mask.sum() == 9
    assert np.ptp(padded.init_logits[0, 9:]) > 0
    assert scenes.set_up(given, find("stop-gradient").scene).config.routing_gradient == "all"
    turned = scenes.set_up(given, find("power-before-sign").scene)
    found = outcome.outcome(turned)
    scores = found.s[found.active]
    assert -scores.min() > abs(scores.max())
    assert given.batch.histories.mask.shape == (1, 9)


def test_the_neighbour_is_somebody_else() -> None:
    given = small.given(0)
    other = scenes.neighbour(given)
    assert not np.any(other.batch.histories.items == given.batch.histories.items)
    assert other.batch.histories.items.max() < 30
