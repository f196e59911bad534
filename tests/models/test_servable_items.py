"""Servable items, by hand: trained items, masked catalogues, ids and rows."""

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.models.parameters import Catalogue, catalogue_of_ids
from mindref.models.servable_items import (
    ServableItems,
    count_untrained,
    find_trained_items,
    mask_untrained_rows,
)

# items 0 to 4; rows 5 and 6 are features: item 1 has the trained one, item 3 the untrained one
ROWS = np.array([[0, 5, 0], [1, 5, 0], [2, 0, 0], [3, 6, 0], [4, 5, 6]])
WEIGHTS = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [1, 0, 0], [0.5, 0.5, 0], [0.5, 0.25, 0.25]])
IS_TRAINED = np.array([True, False, False, False, False])


@pytest.mark.rules("model-R41")
def test_a_trained_item_is_a_behaviour_or_target_of_an_example():
    sequences = Ragged.of([[0, 1], [2], [], [3, 3, 1]])
    by_steps = find_trained_items(sequences, 5, by_steps=True)
    assert by_steps.tolist() == [True, True, False, True, False]
    by_basket = find_trained_items(
        sequences, 5, by_steps=True, history_lengths=np.array([0, 0, 0, 0, 0, 2])
    )
    assert by_basket.tolist() == [False, True, False, True, False]
    fitted = find_trained_items(sequences, 5, by_steps=False)
    assert fitted.tolist() == [True, True, True, True, False]


@pytest.mark.rules("model-R42")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_untrained_item_has_the_vector_of_its_trained_features(dtype):
    catalogue = Catalogue(ROWS, WEIGHTS.astype(dtype))
    masked = mask_untrained_rows(catalogue, IS_TRAINED)
    assert masked.weights.dtype == dtype
    assert masked.weights.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0] * 3, [0] * 3, [0, 1, 0]]
    assert masked.rows is ROWS
    assert catalogue.weights.tolist() == WEIGHTS.tolist()
    assert mask_untrained_rows(catalogue, np.ones(5, bool)) is catalogue


@pytest.mark.rules("model-R43", "model-R44")
def test_ids_and_rows_of_servable_items():
    servable = ServableItems.of(mask_untrained_rows(Catalogue(ROWS, WEIGHTS), IS_TRAINED))
    assert servable.ids.tolist() == [0, 1, 4]
    assert servable.is_servable.tolist() == [True, True, False, False, True]
    rows = Ragged.of([[4, 3, 1], [2], [0, 0]])
    selected = servable.select(rows)
    assert [selected.row(r).tolist() for r in range(3)] == [[4, 1], [], [0, 0]]
    in_matrix = servable.to_rows(rows)
    assert [in_matrix.row(r).tolist() for r in range(3)] == [[2, 1], [], [0, 0]]
    assert servable.to_ids(np.array([[2, 0, -1]])).tolist() == [[4, 0, -1]]
    everything = ServableItems.of(catalogue_of_ids(5, "float32"))
    assert everything.is_all
    assert everything.select(rows) is everything.to_rows(rows) is rows


@pytest.mark.rules("model-R45")
def test_the_share_of_untrained_items_and_targets():
    masked = mask_untrained_rows(Catalogue(ROWS, WEIGHTS), IS_TRAINED)
    counts = count_untrained(masked, Ragged.of([[0, 2], [1], [], [0]]))
    expected = {"items": 4, "item_share": 0.8, "with_features": 2}
    assert counts == {**expected, "targets": 2, "target_share": 0.5}
    nothing = count_untrained(Catalogue(ROWS, WEIGHTS), Ragged.of([[]]))
    assert nothing == dict.fromkeys(counts, 0)
