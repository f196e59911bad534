"""Parquet: batches are read as single rows; only used columns are read, within bounds."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.readers import read_log
from mindref.data.readers.columns import Columns
from mindref.errors import DataError, MindrefError
from tests.data.reading import plain

pa = pytest.importorskip("pyarrow", reason="pyarrow is the extra mindref[parquet]")
pq = pytest.importorskip("pyarrow.parquet")
parquet = pytest.importorskip("mindref.data.readers.parquet_file")

DAY = datetime.datetime(2012, 4, 13, 1, 2, 3, 4)
NAN, INF = float("nan"), float("inf")
IDS = {
    "text": pa.array(["a", "07", "7", "é", "a"]),
    "large text": pa.array(["a", "b", "a", "b", "c"], pa.large_string()),
    "categories": pa.array(["a", "b", "a", None, "c"]).dictionary_encode(),
    "integers": pa.array([7, 3, 7, -1, 0]),
    "bytes of integers": pa.array([7, 3, 7, 1, 0], pa.uint8()),
    "large integers": pa.array([2**63, 3, 7, 1, 0], pa.uint64()),
    "empty text": pa.array(["a", "", "b", "c", "a"]),
    "blank text": pa.array(["a", " ", "b", "\u00a0", "a"]),
    "missing text": pa.array(["a", None, "b", "c", "a"]),
    "missing integers": pa.array([1, None, 2, 3, 1]),
    "floats": pa.array([1.0, 2.0, 2.0, 3.0, 4.0]),
    "booleans": pa.array([True, False, True, True, True]),
    "bytes": pa.array([b"a", b"b", b"\xff", b"c", b"a"]),
    "lists": pa.array([["a"], ["b"], [], None, ["c"]]),
    "dates": pa.array([DAY.date()] * 5),
}
TIMES = {
    "none": None,
    "integers": pa.array([5, 4, 3, 2, 2**62 + 1]),
    "floats": pa.array([5.5, -0.0, 0.0, 0.1, 1e308]),
    "single floats": pa.array([5.5, 0.1, 0.2, 3, 4], pa.float32()),
    "NaN": pa.array([5.5, NAN, 0.0, 0.1, 1e308]),
    "infinite": pa.array([5.5, 1, 0.0, 0.1, INF]),
    "missing": pa.array([5, None, 3, 2, 1]),
    "timestamps": pa.array([DAY, DAY, DAY, DAY + datetime.timedelta(1), DAY]),
    "zones": pa.array([DAY] * 5, pa.timestamp("ns", "Asia/Tokyo")),
    "far timestamps": pa.array([2**62 + 1, 2, 3, 4, 5], pa.timestamp("us")),
    "missing timestamps": pa.array([DAY, None, DAY, DAY, DAY]),
    "dates": pa.array([DAY.date()] * 5),
    "text": pa.array(["1", "2012-04-13", "0.5", "1", "1e3"]),
    "other text": pa.array(["1", "soon", "0.5", "1", "1e3"]),
    "booleans": pa.array([True, False, True, True, True]),
}
KINDS = {
    "text": pa.array(["buy", "cart", None, "", "buy"]),
    "floats": pa.array([3.0, 4.0, -0.0, 0.0, 4.5]),
    "floats with NaN": pa.array([3.0, 4.0, NAN, 0.0, None]),
    "integers": pa.array([3, 4, 5, 4, 3]),
    "missing integers": pa.array([3, 4, None, 4, 3]),
    "booleans": pa.array([True, False, True, True, True]),
}
OPTIONS = (
    {},
    {"at_least": {"kind": 4}},
    {"keep": {"kind": ["buy", "4", "4.0", "0.0", "True"]}},
    {"title": "kind"},
    {"item_features": {"f": "kind"}, "user_features": {"g": "kind"}, "separator": "u"},
    {"time_format": "ms"},
    {"time_format": "%Y"},
    {"item_features": {"t": "time"}},
)


def read(path, is_plain, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "BATCH_ROWS", 2)
        if not is_plain:
            patch.setattr(parquet, "PLAIN_TYPES", ())
        try:
            return plain(read_log(path, **options))
        except MindrefError as error:
            return type(error), str(error)


def assert_like_rows(path, **options):
    expected = read(path, False, **options)
    assert read(path, True, **options) == expected
    return expected


def write(path, users, items, times, kinds):
    columns = {"user": users, "item": items, "time": times, "kind": kinds}
    pq.write_table(pa.table({name: x for name, x in columns.items() if x is not None}), path)
    return path


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("name", IDS)
def test_ids_of_each_type_are_read_as_row_by_row(tmp_path, name):
    whole = IDS["integers"]
    for users, items in ((IDS[name], whole), (whole, IDS[name])):
        path = write(tmp_path / "log", users, items, TIMES["integers"], None)
        assert_like_rows(path, max_bad_lines=2)
        assert_like_rows(path)


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("form", ["auto", "ms", "%Y"])
def test_times_of_each_type_are_read_as_row_by_row(tmp_path, name, form):
    path = write(tmp_path / "log", IDS["text"], IDS["integers"], TIMES[name], None)
    assert_like_rows(path, columns={"time_format": form}, max_bad_lines=3)


@pytest.mark.rules("data-R85")
@given(
    users=st.sampled_from(sorted(IDS)),
    items=st.sampled_from(sorted(IDS)),
    times=st.sampled_from(sorted(TIMES)),
    kinds=st.sampled_from(sorted(KINDS)),
    columns=st.sampled_from(OPTIONS),
)
def test_any_columns_and_options_are_read_as_row_by_row(
    tmp_path_factory, users, items, times, kinds, columns
):
    path = tmp_path_factory.mktemp("parquet") / "log"
    write(path, IDS[users], IDS[items], TIMES[times], KINDS[kinds])
    assert_like_rows(path, columns=columns, max_bad_lines=3)


@pytest.mark.rules("data-R85")
def test_a_whole_file_is_read_in_batches(tmp_path, monkeypatch):
    path = write(
        tmp_path / "log", IDS["text"], IDS["integers"], TIMES["timestamps"], KINDS["floats"]
    )
    monkeypatch.setattr(parquet, "batch_records", lambda *_: pytest.fail("a row is read"))
    log = read_log(path, columns={"at_least": {"kind": 4}, "item_features": {"f": "kind"}})
    assert (log.notes["filtered"], log.notes["lines"], log.notes["interactions"]) == (3, 5, 2)
    assert log.item_features[0].values == ["4.0", "4.5"]


ROWS = 72
USERS, ITEMS = [f"u{i % 12}" for i in range(ROWS)], [f"i{i * 7 % 24}" for i in range(ROWS)]


def log_of(path, compression="zstd", columns=None, **more):
    """Write a log with more columns, and read it."""
    table = pa.table({"user_id": USERS, "item_id": ITEMS, **more})
    pq.write_table(table, path / "log", compression=compression)
    return read_log(path / "log", columns=columns)


@pytest.mark.rules("data-R91")
@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\xfe"] * ROWS),
        pa.array([[2**30]] * ROWS, pa.list_(pa.date32())),
        pa.array([2**62] * ROWS, pa.duration("us")),
        pa.array([[0] * 20_000] * ROWS, pa.list_(pa.int8())),
        pa.array([{"a": 1}] * ROWS),
    ],
    ids=lambda column: str(column.type),
)
def test_an_unused_column_is_not_read(tmp_path, column):
    log = log_of(tmp_path, timestamp=list(range(ROWS)), more=column)
    assert (len(log.user_ids), log.notes["bad_lines"]) == (12, 0)


@pytest.mark.rules("data-R91")
def test_a_column_name_with_a_dot_is_one_column(tmp_path):
    shelf = pa.array([["a"] * 20_000] * ROWS)
    log = log_of(
        tmp_path, columns={"item_features": {"shelf": "x.y"}}, **{"x.y": ["s"] * ROWS, "x": shelf}
    )
    assert log.item_features[0].values == ["s"]


@pytest.mark.rules("data-R91")
def test_too_many_values_of_a_used_list_are_rejected(tmp_path, monkeypatch):
    features = {"item_features": {"shelf": "shelf"}}
    shelf = pa.array([["a"] * 20_000] * ROWS)
    with pytest.raises(DataError, match=r"1,048,576 values, or 16 for each byte .* got 1,440,000"):
        log_of(tmp_path, columns=features, shelf=shelf)
    few = pa.array([["a", "b"]] * ROWS)
    assert log_of(tmp_path, columns=features, shelf=few).item_features[0].values == ["a", "b"]


@pytest.mark.rules("data-R102")
def test_unpacked_text_is_limited_before_a_row_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "iterate_batches", lambda *_: pytest.fail("a row is read"))
    titles = [f"{i}" + "x" * (1 << 20) for i in range(ROWS)]
    with pytest.raises(DataError, match="at most 64 MiB of text, or 100 times the size"):
        log_of(tmp_path, title=titles)


@pytest.mark.rules("data-R102")
@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("columns", [{}, {"item_features": {"title": "title"}}])
def test_a_text_that_is_stored_once_in_the_file_counts_for_each_item(
    tmp_path, monkeypatch, is_plain, columns
):
    monkeypatch.setattr(parquet, "MIN_TEXT", 1 << 16)
    monkeypatch.setattr(parquet, "TEXT_RATIO", 1)
    more = {} if is_plain else {"rating": pa.array([b"1"] * ROWS)}
    columns = columns if is_plain else {**columns, "keep": {"rating": ["1"]}}
    few, many = (
        pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), ["t" * length])
        for length in (1000, 10_000)
    )
    assert len(log_of(tmp_path, columns=columns, title=few, **more).titles) == 24
    with pytest.raises(DataError, match=r"of text, or .* got more; leave out the title"):
        log_of(tmp_path, columns=columns, title=many, **more)


@pytest.mark.parametrize(
    ("kind", "per_second"),
    [(pa.timestamp("s"), 1), (pa.timestamp("ms"), 1e3), (pa.timestamp("us"), 1e6),
     (pa.timestamp("ns"), 1e9), (pa.date64(), 1e3), (pa.date32(), 1 / 86400)],
    ids=str,
)  # fmt: skip
def test_times_of_each_unit_are_seconds(tmp_path, kind, per_second):
    step = 86_400_000 if kind == pa.date64() else 1_000_000 if kind == pa.timestamp("ns") else 1
    times = pa.array(
        [i * step for i in range(ROWS)],
        pa.int32() if step == 1 and kind == pa.date32() else pa.int64(),
    )
    log = log_of(tmp_path, timestamp=times.cast(kind))
    assert sorted(log.times.tolist()) == [i * step / per_second for i in range(ROWS)]


def test_times_beyond_all_dates_do_not_wrap_around(tmp_path):
    far = [2**55 + 2**40 * i for i in range(ROWS)]
    log = log_of(tmp_path, timestamp=pa.array(far, pa.int64()).cast(pa.timestamp("ms")))
    assert log.times.min() == 2**55 / 1e3


@pytest.mark.parametrize(
    "kind", [pa.time64("us"), pa.duration("s"), pa.list_(pa.int64()), pa.bool_()], ids=str
)
def test_a_column_without_points_in_time_is_named(tmp_path, kind):
    value = [1] if pa.types.is_list(kind) else True if pa.types.is_boolean(kind) else 1
    with pytest.raises(DataError, match=r"text in the column 'timestamp', got .*; convert it"):
        log_of(tmp_path, timestamp=pa.array([value] * ROWS, kind))


def test_two_used_columns_of_one_name_are_rejected(tmp_path):
    table = pa.table([USERS, ITEMS, ITEMS], names=["user_id", "item_id", "item_id"])
    pq.write_table(table, tmp_path / "log")
    with pytest.raises(DataError, match="item_id"):
        read_log(tmp_path / "log", columns=Columns(user="user_id", item="item_id"))


@pytest.mark.rules("faults-R13")
def test_too_little_address_space_for_pyarrow_is_an_error(tmp_path, monkeypatch):
    from mindref.process import memory

    log_of(tmp_path)
    monkeypatch.setattr(memory, "address_space_limit", lambda: 2000 << 20)
    with pytest.raises(MindrefError, match=r"memory, to read .*: expected an address space"):
        read_log(tmp_path / "log")


def test_nan_is_no_title_as_in_a_table(tmp_path):
    titles = pa.array([float("nan")] * ROWS)
    assert log_of(tmp_path, title=titles).titles is None
    more = {"rating": pa.array([b"1"] * ROWS)}  # the rows are read one by one
    log = log_of(tmp_path, columns={"keep": {"rating": ["1"]}}, title=titles, **more)
    assert log.titles is None
