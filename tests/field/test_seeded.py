"""Seeds of the logits: which behaviours they are, by hand and by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.ops import routing
from tests.field.seeded import Routing, seeded_logits, seeds

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def test_the_first_is_the_last_behaviour_and_the_next_the_farthest() -> None:
    unit = np.array([[EAST, NORTH, WEST, EAST, WEST]])
    mask = np.array([[True, True, True, True, False]])
    assert seeds(unit, mask, 4).tolist() == [[3, 2, 1, 3]]
    logits = seeded_logits(3 * unit, mask, 3, 10.0)
    assert logits[0, :4].tolist() == [[10, -10, 0], [0, 0, 10], [-10, 10, 0], [10, -10, 0]]
    assert not logits[0, 4].any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_every_next_seed_is_the_farthest_from_those_before(seed: int, n: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(1, n, 3))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    found = seeds(unit, np.ones((1, n), bool), many)[0].tolist()
    assert found[0] == n - 1
    for k in range(1, many):
        nearest = (unit[0] @ unit[0, found[:k]].T).max(axis=1)
        assert nearest[found[k]] == pytest.approx(nearest.min())


def test_users_without_behaviours_and_logits_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    history, bilinear = rng.normal(size=(2, 4, 3)), rng.normal(size=(3, 3))
    mask = np.array([[True, True, True, False], [False] * 4])
    active = np.ones((2, 2), bool)
    own = Routing(5.0)
    found = []
    for drawn in (np.zeros((2, 4, 2)), rng.normal(size=(2, 4, 2))):
        numbers = {"iterations": 3, "gradient": "last"}
        out, saved = own.forward(history, mask, bilinear, drawn, active, **numbers)
        found.append(out)
        d_history, _, d_logits = own.backward(np.ones_like(out), saved)
        assert d_history[0, :3].all()
        assert not d_logits.any()
    assert found[0].tobytes() == found[1].tobytes(), "what was drawn is not looked at"
    assert not found[0][1].any()
    plain, _ = routing.forward(history, mask, bilinear, np.zeros((2, 4, 2)), active, **numbers)
    assert not np.allclose(plain[0, 0], found[0][0, 0])
    assert not np.allclose(found[0][0, 0], found[0][0, 1]), "interests differ without noise"
