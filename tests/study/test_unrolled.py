"""The flat forward pass is the model's, whatever the settings."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.models import mind
from mindref.study.gradients import unrolled
from tests.study import small


@pytest.mark.parametrize("name", small.SETTINGS)
@pytest.mark.parametrize("pads", [0, 3])
def test_an_unmoved_pass_is_the_models_loss(name: str, pads: int) -> None:
    for seed in range(5):
        given = small.given(seed, pads, **small.SETTINGS[name])
        loss, _ = mind.loss(*given)
        np.testing.assert_allclose(unrolled.forward(given, {}).losses, loss, rtol=1e-14)


def test_copies_do_not_meet() -> None:
    given = small.given(power=2.0)
    offsets = np.zeros((6, 9, 4))
    offsets[range(6), [0, 3, 8, 0, 3, 8], [0, 2, 3, 0, 2, 3]] = [0.1] * 3 + [-0.1] * 3
    together = unrolled.forward(given, {"e": offsets}).losses
    alone = [unrolled.forward(given, {"e": one[None]}).losses[0] for one in offsets]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    assert len(set(together.tolist())) == 6
