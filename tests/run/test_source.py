"""The options that `fit` accepts for each kind of data."""

import pytest

from mindref import MIND
from mindref.errors import ConfigError
from mindref.run.source import open_fit_data
from tests.runs import SMALL, loaded


def test_arrays_may_have_titles_and_features():
    arrays, item = ([1, 1, 2], ["a", "b", "a"], [1, 2, 3]), "a"
    features = {"kind": {item: ["x", "y"]}}
    _, (log, _) = open_fit_data(*arrays, {"titles": {item: "One"}, "item_features": features})
    assert log.titles[0] == "One"
    assert [feature.name for feature in log.item_features] == ["kind"]


@pytest.mark.parametrize(
    ("data", "items", "known"),
    [
        ([1], [2], "titles or item_features"),
        ({"user": [1], "item": [2]}, None, "user or item or time"),
        ("log.csv", None, "format or columns .* or user or item"),
        (loaded().log, None, "no option"),
    ],
)
def test_an_unknown_option_of_the_data_is_an_error(data, items, known):
    with pytest.raises(ConfigError, match=f"options of .*{known}.*, got 'foo'"):
        MIND(**SMALL).fit(data, items, foo=1)


@pytest.mark.parametrize("data", [None, "log.csv", {"user": [1], "item": [2]}, loaded().log])
def test_items_or_times_beside_a_complete_log_are_an_error(data):
    for beside in ({"items": [1]}, {"times": [1]}):
        with pytest.raises(ConfigError, match="users beside the items"):
            MIND(**SMALL).fit(data, **beside)
