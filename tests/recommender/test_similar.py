"""Items that are similar to an item, named by id or title."""

import numpy as np
import pytest

import mindref
from mindref.errors import DataError
from mindref.models.servable_items import ServableItems
from tests.runs import loaded, trained, trainer

LOG = loaded().log
ITEMS = [LOG.item_ids[i] for i in ServableItems.of(trainer().served_catalogue).ids]
TITLE = dict(zip(LOG.item_ids, LOG.titles, strict=True))[ITEMS[3]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return mindref.load(trained(tmp_path_factory.mktemp("runs") / "run"))


@pytest.mark.rules("recall-R50")
def test_a_title_names_the_item(model):
    assert model.similar_items(TITLE, 5) == model.similar_items(ITEMS[3], 5)
    with pytest.raises(DataError, match=f"got .*; closest: {ITEMS[3]} '{TITLE}'"):
        model.similar_items(f"{TITLE}x")


@pytest.mark.rules("recall-R42", "recall-R4")
def test_similar_items_can_be_filtered(model):
    everything = model.similar_items(ITEMS[3], 500)
    only, exclude = ITEMS[::2], [x.item for x in everything[:4]]
    got = model.similar_items(ITEMS[3], 6, only=only, exclude=exclude)
    assert got == [x for x in everything if x.item in only and x.item not in exclude][:6]
    assert model.similar_items(ITEMS[3], 6, exclude=exclude) == everything[4:10]
    with pytest.warns(UserWarning, match="only: 1 of 2"):
        model.similar_items(ITEMS[3], only=[ITEMS[9], "x"])


def test_no_cosine_is_above_one_because_of_rounding(model, monkeypatch):
    served, rng = model.served, np.random.default_rng(0)
    num_items, width = served.item_vectors.shape
    for _ in range(20):
        vectors = np.tile(rng.normal(size=width).astype(np.float32), (num_items, 1))
        monkeypatch.setitem(vars(served), "item_vectors", vectors)
        assert all(0.99 < x.score <= 1 for x in model.similar_items(ITEMS[3], 5))
