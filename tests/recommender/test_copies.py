"""A trained model travels: pickled or copied, before and after it has answered."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from mindref import MIND
from tests.runs import SMALL, loaded

HISTORY = list(loaded().log.item_ids[3:12])
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture(scope="module")
def fitted() -> bytes:
    """A model that has answered nobody yet."""
    return pickle.dumps(MIND(**{**SMALL, "steps": 2}).fit(loaded().log))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_recommends_the_same_before_and_after_it_was_asked(fitted, way):
    model = pickle.loads(fitted)
    assert model.config.backend == "numba"
    early = way(model)
    expected = model.recommend(HISTORY, 20)
    late = way(model)
    for other in (early, late, way(late)):
        assert other is not model
        assert other.recommend(HISTORY, 20) == expected
    assert model.recommend(HISTORY, 20) == expected


@pytest.mark.parametrize("way", list(WAYS.values())[:2], ids=list(WAYS)[:2])
def test_a_copy_has_buffers_of_its_own(fitted, way):
    model = pickle.loads(fitted)
    model.recommend(HISTORY)
    other = way(model)
    other.recommend(HISTORY)
    one, two = (x.served.backend for x in (model, other))
    assert one.cached_workspace is not two.cached_workspace
    assert one.lock is not two.lock
