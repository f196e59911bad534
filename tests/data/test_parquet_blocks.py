"""Batches of Parquet rows: the log, the counts and the errors are those of single rows."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.readers import parquet, read_log
from mindref.errors import MindrefError
from tests.data.test_plain_text import plain

pa = pytest.importorskip("pyarrow", reason="pyarrow is the extra mindref[parquet]")
pq = pytest.importorskip("pyarrow.parquet")

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
            patch.setattr("mindref.data.readers.parquet_columns.is_plain_type", lambda kind: False)
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
    monkeypatch.setattr(parquet.ParquetBlock, "records", None)
    log = read_log(path, columns={"at_least": {"kind": 4}, "item_features": {"f": "kind"}})
    assert (log.notes["filtered"], log.notes["lines"], log.notes["interactions"]) == (3, 5, 2)
    assert log.item_features[0].values == ["4.0", "4.5"]
