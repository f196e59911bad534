"""Arrays and tables in memory."""

from datetime import UTC, datetime

import numpy as np
import pytest

from mindref.data.frames import from_arrays, from_dataframe
from mindref.errors import DataError
from tests.data.reading import rows, table, times, values

USERS, ITEMS, TIMES = [7, 3, 7, 7], ["b", "a", "a", "b"], [5, 1, 2, 5]
COLUMNS = {
    "who": USERS,
    "what": ITEMS,
    "when": TIMES,
    "name": ["Bee", None, "Ay", "Bee"],
    "kind": ["x", "y", None, "z"],
}


def frames(columns=COLUMNS):
    """The same table in every library that is there."""
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    return {
        "mapping": columns,
        "pandas": pandas.DataFrame(columns),
        "polars": polars.DataFrame(columns),
        "pyarrow": pyarrow.table(columns),
    }


def assert_same(one, other):
    assert rows(one) == rows(other)
    assert list(one.user_ids) == list(other.user_ids)
    assert list(one.item_ids) == list(other.item_ids)
    assert times(one) == times(other)
    assert one.notes == other.notes


@pytest.mark.rules("data-R24")
def test_arrays_give_the_log_of_a_file_with_the_same_rows(tmp_path):
    lines = [",".join(map(str, row)) for row in zip(USERS, ITEMS, TIMES, strict=True)]
    assert_same(from_arrays(np.array(USERS), ITEMS, TIMES), table(tmp_path, lines))


@pytest.mark.rules("data-R24")
@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_any_table_gives_the_same_log(library):
    log = from_dataframe(
        frames()[library], "who", "what", "when", title="name", item_features=["kind"]
    )
    assert_same(log, from_arrays(USERS, ITEMS, TIMES, titles={"b": "Bee", "a": "Ay"}))
    assert log.titles == ["Bee", "Ay"]
    assert values(log, "kind") == {"b": ["x", "z"], "a": ["y"]}


@pytest.mark.rules("data-R24")
@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(
    "names", [("user", "item", "time", "title"), ("user_id", "movieId", "timestamp", "itemTitle")]
)
def test_columns_with_usual_names_are_found(library, names):
    usual = dict(zip(("who", "what", "when", "name"), names, strict=True))
    frame = frames({usual.get(name, name): column for name, column in COLUMNS.items()})[library]
    named = from_dataframe(frames()[library], "who", "what", "when", title="name")
    assert_same(from_dataframe(frame), named)
    assert from_dataframe(frame).titles == named.titles


@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_several_usual_names_and_a_missing_column_are_refused(library):
    frame = {"user": ["u"], "item": ["a"], "time": [1], "date": [2]}
    with pytest.raises(DataError, match=r"one column of the time, got time, date; .* time="):
        from_dataframe(frame)
    assert times(from_dataframe(frame, time="date")) == [2]
    with pytest.raises(DataError, match=r"a column of the item, got user, thing; .* item="):
        from_dataframe({"user": ["u"], "thing": ["a"]})
    with pytest.raises(DataError, match="'whom'"):
        from_dataframe(frames()[library], "whom", "what")


def test_features_and_titles_by_id_and_no_times():
    log = from_arrays(
        [1, 2],
        [10, 11],
        titles={10: "Ten"},
        item_features={"kind": {10: ["x", "y"], "11": "x"}, "year": {10: 1999}},
        user_features={"age": {2: "35"}, "tags": {1: [1, None, 2]}},
    )
    assert log.titles == ["Ten", ""]
    assert values(log, "kind") == {"10": ["x", "y"], "11": ["x"]}
    assert values(log, "year") == {"10": ["1999"], "11": []}
    assert values(log, "age", "user") == {"1": [], "2": ["35"]}
    assert values(log, "tags", "user") == {"1": ["1", "2"], "2": []}
    assert from_arrays(["u"], ["a"], titles={"a": None}).titles is None
    log = from_arrays(["u", "u", "u"], [3, 1, 3])
    assert (rows(log), log.times) == ({"u": ["3", "1", "3"]}, None), "in the order of the rows"


@pytest.mark.parametrize(
    "moments",
    [
        np.array(["2012-04-13T00:05", "1969-12-31T23:59:59"], "datetime64[s]"),
        [datetime(2012, 4, 13, 0, 5), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)],
        [1334275500.0, -1.0],
        None,
        "Asia/Tokyo",
    ],
)
def test_times_may_be_numbers_or_dates_in_utc(moments):
    if moments is None or isinstance(moments, str):  # a time zone of pandas
        pandas = pytest.importorskip("pandas")
        dates = pandas.to_datetime(["2012-04-13 00:05:00", "1969-12-31 23:59:59"])
        moments = pandas.Series(dates.tz_localize("UTC").tz_convert(moments))
    assert times(from_arrays(["u", "u"], ["a", "b"], moments)) == [-1, 1334275500]


@pytest.mark.parametrize(
    ("users", "items", "moments", "message"),
    [
        (["u"], ["a", "b"], None, "equal lengths"),
        ([1.0], ["a"], None, "users, row 0"),
        (["u"], [None], None, "items, row 0"),
        (["u"], [""], None, "items, row 0"),
        (["u"], [True], None, "items, row 0"),
        ([["u"]], ["a"], None, "one dimension"),
        (["u"], ["a"], [float("nan")], "times, row 0"),
        (["u"], ["a"], np.array(["NaT"], "datetime64[s]"), "times, row 0"),
        (["u"], ["a"], [None], "times, row 0"),
        (["u"], ["a"], ["yesterday"], "to_datetime"),
        ([], [], None, "at least one interaction"),
    ],
)
def test_an_invalid_interaction_is_named(users, items, moments, message):
    with pytest.raises(DataError, match=message):
        from_arrays(users, items, moments)


def test_titles_and_features_of_other_types_are_refused():
    features = ({"item_features": ["kind"]}, {"item_features": {"kind": ["x"]}})
    for beside in ({"titles": ["Ay"]}, *features, {"user_features": {"age": 3}}):
        with pytest.raises(DataError, match="expected a mapping, got"):
            from_arrays(["u"], ["a"], **beside)
