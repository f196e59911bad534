"""Arrays and tables in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.data.frames import from_arrays, from_dataframe
from mindref.data.log import InteractionLog
from mindref.errors import DataError
from tests.data.reading import rows, table, times, values

USERS, ITEMS, TIMES = [7, 3, 7, 7], ["b", "a", "a", "b"], [5, 1, 2, 5]
COLUMNS: dict[str, list[Any]] = {
    "who": USERS,
    "what": ITEMS,
    "when": TIMES,
    "name": ["Bee", None, "Ay", "Bee"],
    "kind": ["x", "y", None, "z"],
}


def frames() -> dict[str, Any]:
    """The same table in every library that is there."""
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    return {
        "mapping": COLUMNS,
        "pandas": pandas.DataFrame(COLUMNS),
        "polars": polars.DataFrame(COLUMNS),
        "pyarrow": pyarrow.table(COLUMNS),
    }


def assert_same(one: InteractionLog, other: InteractionLog) -> None:
    assert rows(one) == rows(other)
    assert list(one.user_ids) == list(other.user_ids)
    assert list(one.item_ids) == list(other.item_ids)
    assert times(one) == times(other)
    assert one.notes == other.notes


@pytest.mark.rules("data-R24")
def test_arrays_give_the_log_of_a_file_with_the_same_rows(tmp_path: Path) -> None:
    lines = [",".join(map(str, row)) for row in zip(USERS, ITEMS, TIMES, strict=True)]
    assert_same(from_arrays(np.array(USERS), ITEMS, TIMES), table(tmp_path, lines))


@pytest.mark.rules("data-R24")
@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_any_table_gives_the_same_log(library: str) -> None:
    log = from_dataframe(
        frames()[library], "who", "what", "when", title="name", item_features=["kind"]
    )
    assert_same(log, from_arrays(USERS, ITEMS, TIMES))
    assert log.titles == ["Bee", "Ay"]
    assert values(log, "kind") == {"b": ["x", "z"], "a": ["y"]}


@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_a_missing_column_is_named(library: str) -> None:
    with pytest.raises(DataError, match="'whom'"):
        from_dataframe(frames()[library], "whom", "what")


def test_without_times_the_order_of_the_rows_is_kept() -> None:
    log = from_arrays(["u", "u", "u"], [3, 1, 3])
    assert rows(log) == {"u": ["3", "1", "3"]}
    assert log.times is None


def test_features_and_titles_by_id() -> None:
    log = from_arrays(
        [1, 2],
        [10, 11],
        titles={10: "Ten"},
        item_features={"kind": {10: ["x", "y"], "11": "x"}},
        user_features={"age": {2: "35"}},
    )
    assert log.titles == ["Ten", ""]
    assert values(log, "kind") == {"10": ["x", "y"], "11": ["x"]}
    assert values(log, "age", "user") == {"1": [], "2": ["35"]}


@pytest.mark.parametrize(
    "moments",
    [
        np.array(["2012-04-13T00:05", "1969-12-31T23:59:59"], "datetime64[s]"),
        [datetime(2012, 4, 13, 0, 5), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)],
        [1334275500.0, -1.0],
    ],
)
def test_times_may_be_numbers_or_dates_in_utc(moments: Any) -> None:
    assert times(from_arrays(["u", "u"], ["a", "b"], moments)) == [-1, 1334275500]


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_times_of_pandas(zone: str | None) -> None:
    pandas = pytest.importorskip("pandas")
    moments = pandas.to_datetime(["2012-04-13 00:05"]).tz_localize("UTC").tz_convert(zone)
    assert times(from_arrays(["u"], ["a"], pandas.Series(moments))) == [1334275500]


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
        ([], [], None, "at least one event"),
    ],
)
def test_what_cannot_be_an_event_is_named(
    users: Any, items: Any, moments: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        from_arrays(users, items, moments)
