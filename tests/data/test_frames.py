"""Arrays and tables in memory."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from mindref.data.frames import encode_ids, from_arrays, from_dataframe, id_as_text
from mindref.errors import DataError, MindrefError
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
@pytest.mark.parametrize(
    "names", [("user", "item", "time", "title"), ("user_id", "movieId", "timestamp", "itemTitle")]
)
def test_any_table_gives_the_same_log_and_columns_with_usual_names_are_found(library, names):
    named = from_dataframe(
        frames()[library], "who", "what", "when", title="name", item_features=["kind"]
    )
    assert_same(named, from_arrays(USERS, ITEMS, TIMES, titles={"b": "Bee", "a": "Ay"}))
    assert named.titles == ["Bee", "Ay"]
    assert values(named, "kind") == {"b": ["x", "z"], "a": ["y"]}
    usual = dict(zip(("who", "what", "when", "name"), names, strict=True))
    frame = frames({usual.get(name, name): column for name, column in COLUMNS.items()})[library]
    assert_same(from_dataframe(frame), named)
    assert from_dataframe(frame).titles == named.titles


@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_several_usual_names_and_a_missing_column_are_refused(library):
    frame = {"user": ["u"], "item": ["a"], "time": [1], "date": [2]}
    with pytest.raises(DataError, match=r"one column of the time, got time, date; .* time="):
        from_dataframe(frame)
    assert times(from_dataframe(frame, time="date")) == [2]
    message = "a column of the item, got user, thing; .* such as user='user', item='COLUMN'$"
    with pytest.raises(DataError, match=message):
        from_dataframe({"user": ["u"], "thing": ["a"]})
    names = ", ".join(COLUMNS)
    with pytest.raises(DataError, match=f"a column 'whom', got {names}; closest: who$"):
        from_dataframe(frames()[library], "whom", "what")
    with pytest.raises(DataError, match=f"a column 'zzz', got {names}$"):
        from_dataframe(frames()[library], "zzz", "what")


PANDAS_COLUMNS = {
    "integers": ("Int64", [2, 1, None, 3], "; drop the rows .* then convert"),
    "floats": ("float64", [1, 2, float("nan"), 3], "; drop the rows .* then convert"),
    "text": ("string", ["b", "a", None, "c"], "; drop the rows without an id, as with dropna"),
    "objects": ("object", ["b", 2.0, None, "c"], "; drop the rows without an id"),
    "categories": ("category", ["b", "a", None, "c"], "; drop the rows without an id"),
}


@pytest.mark.rules("data-R24")
@pytest.mark.parametrize("kind", [*PANDAS_COLUMNS, "polars", "pyarrow"])
def test_the_row_of_a_missing_id_is_named(kind):
    dtype, ids, advice = PANDAS_COLUMNS.get(kind, PANDAS_COLUMNS["integers"])
    frame = {"user": [1, 2, 3, 4], "item": ids}
    if kind in PANDAS_COLUMNS:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({**frame, "item": pandas.Series(ids, dtype=dtype)})
    else:
        make = {"polars": "DataFrame", "pyarrow": "table"}[kind]
        frame = getattr(pytest.importorskip(kind), make)(frame)
    expected = f"items, row 2: expected text or an integer, got a missing value{advice}"
    with pytest.raises(DataError, match=expected):
        from_dataframe(frame)


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
    days = [date(2012, 4, 13), date(1960, 1, 1)]
    assert times(from_arrays(["u", "v"], ["a", "b"], days)) == [1334275200, -315619200]


def test_titles_and_features_of_other_types_are_refused():
    features = ({"item_features": ["kind"]}, {"item_features": {"kind": ["x"]}})
    for beside in ({"titles": ["Ay"]}, *features, {"user_features": {"age": 3}}):
        with pytest.raises(MindrefError, match=r"expected a mapping( or None)?, got"):
            from_arrays(["u"], ["a"], **beside)
    for features in ({3: {"a": "x"}}, {None: {}}):
        with pytest.raises(DataError, match="names of features as text"):
            from_arrays(["a"], ["a"], item_features=features)


ROWS = {
    "integers": [7, -3, 7, 0, 2**62],
    "large integers": [2**63, 1, 2**63, 10**30],
    "text": ["7", "07", "7", "é", "\ud800"],
    "text and integers": ["7", 7, 8, "8"],
    "bytes": [b"7", "é".encode(), b"7"],
    "booleans": [1, True, 0],
    "NumPy integers in a list of objects": [np.int64(7), 7, "7"],
    "NumPy text": [np.str_("a"), "a"],
    "a float": [1, 2, 2.0],
    "an empty text": ["a", "b", "", "c", ""],
    "bytes that are not UTF-8": [b"a", b"\xff"],
    "no bytes": [b"a", b""],
    "too many digits": [1, 10**5000],
    "lists": [["a"], ["b"]],
    "fractions": [Fraction(2), 2],
}
DTYPES = ["i1", "u8", "i8", ">i4", "U3", "S3", "?"]


def encoded_by_rows(values):
    """Return the texts of the rows, or the message of the first invalid row."""
    texts = []
    for row, value in enumerate(values):
        try:
            texts.append(id_as_text(value, f"users, row {row}"))
        except DataError as error:
            return str(error)
    return texts


def encoded(values):
    try:
        column = encode_ids(values, "users")
    except DataError as error:
        return str(error)
    return [column.names[code] for code in column.codes]


@pytest.mark.rules("data-R1", "data-R24", "data-R85")
@pytest.mark.parametrize("name", [*ROWS, *DTYPES])
def test_each_distinct_id_is_converted_as_each_row_would_be(name):
    array = np.array([7, 3, 7, 5, 3]).astype(name if name in DTYPES else object)
    if name in ROWS:
        array = np.empty(len(ROWS[name]), object)
        array[:] = ROWS[name]
    assert encoded(array) == encoded_by_rows(array.tolist())
    assert encoded(array[:0]) == []


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_datetimes_of_each_unit_are_seconds_and_do_not_wrap_around(unit):
    ids = ["a", "b"]
    times = np.array([0, 1], f"datetime64[{unit}]")
    expected = times.astype("datetime64[us]").astype(np.int64) / 1e6
    assert from_arrays(ids, ids, times).times.tolist() == expected.tolist()
    if unit not in ("ms", "us", "ns"):
        far = np.array([0, 2**60], f"datetime64[{unit}]")
        with pytest.raises(DataError, match="times, row 1: expected a date within 200,000 years"):
            from_arrays(ids, ids, far)


FEW, SOME, MASK = ["a", "a", "b"], ["x", "y", "x"], [False, True, False]


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
        ([[1], [1, 2], 3], SOME, None, "users: expected an array of one dimension"),
        (FEW, SOME, [[1], [1, 2], 3], "times: expected an array of one dimension"),
        (FEW, SOME, [10**5000] * 3, "got int that cannot be printed"),
        (FEW, SOME, [Decimal("sNaN")] * 3, "times, row 0: expected a finite time"),
        ([10**5000, 1, 2], SOME, None, "expected text or an integer"),
        (np.array([1.0, 2, 3]), SOME, None, r"users, row 0: .* got 1\.0; convert .*astype\('int"),
        (np.array([1, 2, 3], "M8[ns]"), SOME, None, "users: expected text or integers"),
        (np.array([1, 2, 3], "m8[s]"), SOME, None, "users: expected text or integers"),
        ([np.timedelta64(1, "s")] * 3, SOME, None, "users.*: expected text or int"),
        (FEW, SOME, np.array([2**62] * 3, "M8[ms]"), "within 200,000 years"),
        (FEW, SOME, np.array([2**62] * 3, "M8[1000us]"), "within 200,000 years"),
        (np.ma.array(FEW, mask=MASK), SOME, None, "users, row 1: .* a value, got a masked value"),
        (FEW, np.ma.array(SOME, mask=MASK), None, "items, row 1: .* a value, got a masked value"),
        (FEW, SOME, np.ma.array([1.0, 2, 3], mask=MASK), "times, row 1: .* got a masked value"),
    ],
)
def test_an_invalid_interaction_is_named(users, items, moments, message):
    with pytest.raises(DataError, match=message):
        from_arrays(users, items, moments)


class Broken(dict):
    def __getitem__(self, name):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        *(
            ({"user": FEW, "item": SOME, "title": title}, r"a column of shape .3,.")
            for title in (["t"], 3, np.eye(3))
        ),
        (dict, "table: expected a table, got the class dict"),
        (Broken(user=FEW, item=SOME), "a column 'user' that can be read, got RuntimeError: no"),
    ],
)
def test_an_odd_table_is_refused(frame, message):
    with pytest.raises(DataError, match=message):
        from_dataframe(frame)


def test_missing_and_encoded_titles_are_those_of_a_file():
    pandas = pytest.importorskip("pandas")
    titles = pandas.array(["Ay", None, None], dtype="string")
    log = from_dataframe({"user": FEW, "item": SOME, "title": titles}, item_features=["title"])
    assert log.titles == ["Ay", ""]
    assert log.item_features[0].values == ["Ay"]
    log = from_dataframe({"user": FEW, "item": SOME, "title": [b"Ay", Decimal("NaN"), None]})
    assert log.titles == ["Ay", ""]
    with pytest.raises(DataError, match="times, row 0: expected a finite time"):
        from_arrays(FEW, SOME, [pandas.NA] * 3)
    with pytest.raises(DataError, match="a value that has a text, got int that cannot be printed"):
        from_arrays(FEW, SOME, titles={"x": 10**5000})
