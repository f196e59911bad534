"""Parquet: only used columns are read; their values, text and times are bounded."""

import pytest

from mindref.data.readers import parquet, read_log
from mindref.data.readers.columns import Columns
from mindref.errors import DataError, MindrefError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

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


@pytest.mark.rules("data-R91")
def test_unpacked_text_is_limited_before_a_row_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "iterate_batches", lambda *_: pytest.fail("a row is read"))
    titles = [f"{i}" + "x" * (1 << 20) for i in range(ROWS)]
    with pytest.raises(DataError, match="at most 64 MiB of text, or 100 times the size"):
        log_of(tmp_path, title=titles)


@pytest.mark.rules("data-R91")
@pytest.mark.parametrize("plain", [True, False])
def test_a_title_that_is_stored_once_in_the_file_counts_for_each_item(tmp_path, monkeypatch, plain):
    monkeypatch.setattr(parquet, "MIN_TEXT", 1 << 16)
    monkeypatch.setattr(parquet, "TEXT_RATIO", 1)
    more = {} if plain else {"rating": pa.array([b"1"] * ROWS)}
    columns = None if plain else {"keep": {"rating": ["1"]}}
    for length, fits in ((1000, True), (10_000, False)):
        titles = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), ["t" * length])
        if fits:
            assert len(log_of(tmp_path, columns=columns, title=titles, **more).titles) == 24
            continue
        with pytest.raises(DataError, match=r"of text, or .* got more; leave out the title"):
            log_of(tmp_path, columns=columns, title=titles, **more)


@pytest.mark.rules("data-R91")
def test_the_values_of_features_count_as_text(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MIN_TEXT", 1 << 16)
    monkeypatch.setattr(parquet, "TEXT_RATIO", 1)
    shelf = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), ["t" * 10_000])
    with pytest.raises(DataError, match="got more"):
        log_of(tmp_path, columns={"item_features": {"shelf": "shelf"}}, shelf=shelf)


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
