"""The flat forward pass is the model's, whatever the settings."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.models import mind
from mindref.study.gradients import unrolled
from tests.study import small_pair


@pytest.mark.parametrize("name", small_pair.SETTINGS)
@pytest.mark.parametrize("pads", [0, 3])
def test_the_unrolled_pass_equals_the_loss_of_the_model(name: str, pads: int) -> None:
    for seed in range(5):
        pair = small_pair.make_small_pair(seed, pads, **small_pair.SETTINGS[name])
        loss, _ = mind.loss(*pair)
        np.testing.assert_allclose(unrolled.forward(pair, {}).losses, loss, rtol=1e-14)


def test_copies_are_independent() -> None:
    pair = small_pair.make_small_pair(power=2.0)
    offsets = np.zeros((6, 9, 4))
    offsets[range(6), [0, 3, 8, 0, 3, 8], [0, 2, 3, 0, 2, 3]] = [0.1] * 3 + [-0.1] * 3
    together = unrolled.forward(pair, {"e": offsets}).losses
    alone = [unrolled.forward(pair, {"e": one[None]}).losses[0] for one in offsets]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    assert len(set(together.tolist())) == 6
