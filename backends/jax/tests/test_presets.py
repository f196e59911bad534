"""The presets best and sparse in JAX agree with the reference, compiled with full optimisation."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backends.families import (
    ITEM_VOTES,
    WITH_LAYERS,
    assert_matches_reference,
    large_plus_world,
)

from mindref.backend import NumpyBackend
from mindref_jax.backend import JaxBackend


@pytest.mark.rules("mind_plus-R14", "mind_plus-R17", "mind_plus-R18", "backend-R19")
@pytest.mark.parametrize(
    "settings", [WITH_LAYERS, {**ITEM_VOTES, "dropout": 0.5}], ids=["layers", "item votes"]
)
def test_the_settings_of_the_presets_with_many_users(settings: dict[str, Any]) -> None:
    w = large_plus_world(dtype="float32", **settings)
    assert_matches_reference(w, JaxBackend(), NumpyBackend())
