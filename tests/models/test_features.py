"""Side features of items and profiles of users, by hand."""

import numpy as np
import pytest

from mindref.config import Config
from mindref.data.log import Feature, InteractionLog, Ragged
from mindref.models import features
from mindref.models.features import Vocabulary

GENRE = Feature("genre", ["comedy", "drama"], Ragged.of([[0], [0, 1], []]))
BRAND = Feature("brand", ["acme"], Ragged.of([[0], [], []]))
AGE = Feature("age", ["young", "old"], Ragged.of([[1], [], [0, 1]]))
CITY = Feature("city", ["Rome"], Ragged.of([[], [0], [0]]))
LOG = InteractionLog(
    Ragged.of([[0, 1], [2], [1, 0]]),
    None,
    ["ann", "bob", "cleo"],
    ["x", "y", "z"],
    item_features=[GENRE, BRAND],
    user_features=[AGE, CITY],
)
USERS = np.arange(3)


def config(**changes):
    return Config.of("mind", {"dtype": "float64", **changes})


def as_dense(names):
    """Return how much each row of the table counts in each item, (N, V)."""
    catalogue, rows = features.item_catalogue(LOG, config(item_features=names))
    dense = np.zeros((3, rows))
    for item in range(3):
        np.add.at(dense[item], catalogue.rows[item], catalogue.weights[item])
    return dense


@pytest.mark.rules("model-R32", "model-R33")
def test_an_item_is_the_mean_over_the_fields_that_it_has():
    third, quarter = 1 / 3, 1 / 4
    expected = [
        # x, y, z, comedy, drama, acme
        [third, 0, 0, third, 0, third],  # id, one genre, a brand: three fields
        [0, 1 / 2, 0, quarter, quarter, 0],  # id, and two genres that share a field
        [0, 0, 1, 0, 0, 0],  # nothing but its id
    ]
    np.testing.assert_array_equal(as_dense(["genre", "brand"]), expected)


@pytest.mark.rules("model-R32")
def test_without_named_features_an_item_is_its_id():
    np.testing.assert_array_equal(as_dense([]), np.eye(3))


@pytest.mark.rules("model-R34", "model-R35")
def test_a_profile_has_a_row_for_each_feature_and_one_for_unknown():
    vocabulary = features.user_vocabulary(LOG, config(user_features=["age", "city"]))
    assert vocabulary.rows == 5  # unknown, young, old; unknown, Rome
    found = features.user_profiles(LOG, vocabulary, USERS)
    np.testing.assert_array_equal(found, [[2, 3], [0, 4], [1, 4]])


@pytest.mark.rules("model-R34")
def test_a_value_that_training_did_not_know_is_unknown():
    vocabulary = Vocabulary({"age": ["ancient", "old"], "height": ["tall"]})
    found = features.user_profiles(LOG, vocabulary, USERS)
    np.testing.assert_array_equal(found, [[2, 3], [0, 3], [0, 3]])
