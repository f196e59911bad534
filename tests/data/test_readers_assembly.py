"""From interactions in file order to a log: ids, order, duplicates, item files."""

import numpy as np
import pytest

from mindref.data.assemble import NOTES
from mindref.data.frames import from_arrays, from_dataframe
from mindref.data.readers import read_log
from mindref.errors import ConfigError, DataError
from tests import spec_pages
from tests.data.logs import rows_of
from tests.data.reading import rows, table, times, values, write


@pytest.mark.rules("data-R1", "data-R2", "data-R3", "data-R4")
def test_the_worked_example_is_read(tmp_path):
    (example,) = [one for one in spec_pages.examples("data") if one.get("name") == "reading"]
    log = read_log(write(tmp_path / "log.csv", example["lines"]), columns=example["columns"])
    assert list(log.user_ids) == example["user_ids"]
    assert list(log.item_ids) == example["item_ids"]
    assert rows_of(log.interactions) == example["interactions"]
    assert times(log) == [time for row in example["times"] for time in row]
    assert {name: log.notes[name] for name in example["notes"]} == example["notes"]


@pytest.mark.rules("data-R1", "data-R2")
@pytest.mark.parametrize("ids", [("1", "01"), ("a", "A"), ("7", "-7"), ("0", "00"), ("é", "e")])
def test_ids_that_differ_in_a_character_are_different(tmp_path, ids):
    """Ids are dense in the order of first appearance, which is not the order of time."""
    log = table(tmp_path, [f"{ids[0]},{ids[1]},2", f"{ids[1]},{ids[0]},3", f"{ids[0]},z,1"])
    assert (list(log.user_ids), list(log.item_ids)) == (list(ids), [ids[1], ids[0], "z"])
    lines = ['{"user": 1, "item": "01"}', '{"user": "1", "item": 1}']
    assert rows(read_log(write(tmp_path / "log", lines))) == {"1": ["01", "1"]}
    assert rows(from_arrays(["1", "01"], [1, 2])) == {"1": ["1"], "01": ["2"]}


REPEATED = ["u,a,1", "u,b,1", "u,a,1", "v,a,1", "u,a,1"]
ORDERED = ["u,c,5", "v,x,1", "u,b,-2", "u,a,5", "v,y,1", "u,d,0.5", "u,b,5"]


@pytest.mark.rules("data-R3", "data-R4", "data-R5")
@pytest.mark.parametrize(
    ("lines", "keep_duplicates", "expected", "duplicates"),
    [
        (ORDERED, False, {"u": ["b", "d", "c", "a", "b"], "v": ["x", "y"]}, 0),
        (REPEATED, False, {"u": ["a", "b"], "v": ["a"]}, 2),
        (REPEATED, True, {"u": ["a", "b", "a", "a"], "v": ["a"]}, 0),
        (["u,a,1", "u,a,2", "u,a,2.5"], False, {"u": ["a", "a", "a"]}, 0),
        (["u,a,1", "u,b,1", "u,b,2", "u,c,2"], False, {"u": ["a", "b", "b", "c"]}, 0),
    ],
)
def test_interactions_are_sorted_and_duplicates_removed_unless_requested(
    tmp_path, lines, keep_duplicates, expected, duplicates
):
    """Ties keep the order of the file; the same item at another time is no duplicate."""
    log = table(tmp_path, lines, keep_duplicates=keep_duplicates)
    assert (rows(log), log.notes["duplicates"]) == (expected, duplicates)
    assert lines is not ORDERED or times(log) == [-2, 0.5, 5, 5, 5, 1, 1]


RARE = ["u,a,1", "u,b,2", "v,a,1", "v,b,2", "w,a,1", "w,c,1", "x,c,1", "x,c,1", "x,d,9"]


@pytest.mark.rules("data-R81", "data-R82")
@pytest.mark.parametrize(
    ("lines", "minimums", "expected"),
    [
        # item d is rare, then user x, then item c, then user w
        (RARE, {"user_interactions": 2, "item_interactions": 2},
         {"u": ["a", "b"], "v": ["a", "b"]}),
        (RARE, {"item_interactions": 3}, {"u": ["a"], "v": ["a"], "w": ["a"]}),
        (["u,a,1", "u,a,2", "v,b,1", "w,b,1"], {"item_users": 2}, {"v": ["b"], "w": ["b"]}),
        # the order is that of the whole log
        (["x,a,1", "u,b,2", "v,b,3", "u,a,4", "v,a,5"], {"user_interactions": np.int64(2)},
         {"u": ["b", "a"], "v": ["b", "a"]}),
    ],
)  # fmt: skip
def test_rare_users_and_items_are_dropped_until_each_has_enough(
    tmp_path, lines, minimums, expected
):
    minimums = {f"min_{name}": value for name, value in minimums.items()}
    log, whole = table(tmp_path, lines, **minimums), table(tmp_path, lines)
    assert rows(log) == expected
    left = {item for items in expected.values() for item in items}
    assert list(log.item_ids) == [x for x in whole.item_ids if x in left]
    assert log.notes["rare_users"] == len(whole.user_ids) - len(log.user_ids)
    assert log.notes["rare_items"] == len(whole.item_ids) - len(log.item_ids)
    assert log.notes["duplicates"] == whole.notes["duplicates"] == (lines is RARE)
    if lines is not RARE:  # a table without times has no duplicates
        users, items, _ = zip(*(line.split(",") for line in lines), strict=True)
        assert rows(from_dataframe({"user": users, "item": items}, **minimums)) == expected


@pytest.mark.rules("data-R82")
def test_a_minimum_that_nothing_reaches_is_an_error(tmp_path):
    with pytest.raises(DataError, match="min_user_interactions 5, got none left; lower a minimum"):
        table(tmp_path, RARE, min_user_interactions=5)
    for name in ("min_user_interactions", "min_item_interactions", "min_item_users"):
        for value in (0, 1.5, True):
            with pytest.raises(ConfigError, match=f"{name}: expected an integer of at least 1"):
                table(tmp_path, RARE, **{name: value})


@pytest.mark.rules("data-R5")
def test_repeats_without_times_stay(tmp_path):
    untimed = read_log(write(tmp_path / "log.txt", ["u a", "u a", "v b"]))
    assert rows(untimed) == {"u": ["a", "a"], "v": ["b"]}
    assert untimed.times is None
    assert untimed.notes["duplicates"] == untimed.notes["ties"] == 0


@pytest.mark.rules("data-R7", "data-R8")
def test_items_in_only_one_of_the_files_are_counted(tmp_path):
    lines = ["item,title,kind", "a,Alpha,x|y", "z,Omega,x", "c,,", "d,,"]
    options = {"item_file": write(tmp_path / "items.csv", lines)}
    options["columns"] = {"item_features": {"kind": "kind"}}
    log = table(tmp_path, ["u,b,1", "u,a,2", "v,c,3", "v,d,3"], **options)
    assert list(log.item_ids) == ["b", "a", "c", "d"]
    assert log.titles == ["", "Alpha", "", ""]
    assert values(log, "kind") == {"b": [], "a": ["x", "y"], "c": [], "d": []}
    assert log.notes["unknown_items"] == 1, "b has no line; c and d have one, though an empty one"
    assert log.notes["unused_items"] == 1


@pytest.mark.rules("data-R90")
def test_a_named_item_file_without_an_item_of_the_log_is_an_error(tmp_path):
    lines = ["u,b,1", "u,a,2", "v,a,3"]
    items = write(tmp_path / "items.csv", ["item,title", "x1,Alpha", "x2,Omega"])
    message = r"items.csv: expected ids of items of the log, such as 'b', got no such id, but 'x1'"
    for options in ({}, {"keep_unused_items": True}):
        with pytest.raises(DataError, match=message):
            table(tmp_path, lines, item_file=items, **options)
    users = write(tmp_path / "users.csv", ["user,age", "7,old"])
    assert table(tmp_path, lines, user_file=users).notes["users"] == 2, "all users are new"
    one = write(tmp_path / "one.csv", ["item,title", "x1,Alpha", "a,Omega"])
    assert table(tmp_path, lines, item_file=one).notes["unknown_items"] == 1


@pytest.mark.rules("data-R84")
def test_unused_items_of_the_item_file_are_kept_on_request(tmp_path):
    names = ["item,title,kind", "z,Omega,x", "a,Alpha,x|y", "c,,", "w,,", "r,Rare,y"]
    items = write(tmp_path / "items.csv", names)
    lines = ["u,b,1", "u,a,2", "v,a,3", "v,c,3", "u,c,4", "v,b,5", "v,r,6"]
    options = {"item_file": items, "columns": {"item_features": {"kind": "kind"}}}
    log = table(tmp_path, lines, keep_unused_items=True, **options)
    assert list(log.item_ids) == ["b", "a", "c", "r", "z", "w"]
    assert log.titles == ["", "Alpha", "", "Rare", "Omega", ""]
    assert values(log, "kind")["z"] == ["x"]
    assert (log.notes["items"], log.notes["unused_items"], log.notes["unknown_items"]) == (6, 0, 1)
    assert log.interactions.values.max() == 3
    minimum = {**options, "min_item_interactions": 2}
    log = table(tmp_path, lines, keep_unused_items=True, **minimum)
    assert list(log.item_ids) == ["b", "a", "c", "z", "w"], "r was dropped and does not return"
    assert table(tmp_path, lines, **options).notes["unused_items"] == 2


@pytest.mark.rules("data-R100")
def test_unused_items_need_an_item_file(tmp_path):
    with pytest.raises(ConfigError, match="keep_unused_items: expected an item file, got none; na"):
        table(tmp_path, ["u,a,1"], keep_unused_items=True)
    arrays = {"titles": {"b": "Beta"}, "item_features": {"kind": {"a": "x", "c": "y"}}}
    log = from_arrays(["u"], ["a"], keep_unused_items=True, **arrays)
    assert (list(log.item_ids), log.titles) == (["a", "b", "c"], ["", "Beta", ""])
    assert list(from_arrays(["u"], ["a"], **arrays).item_ids) == ["a"]


@pytest.mark.rules("data-R9")
def test_a_feature_with_different_values_per_row_has_all_values(tmp_path):
    lines = ["u,a,1,red,x", "v,a,2,blue,y", "v,b,3,,y", "u,a,4,red|green,x"]
    columns = {"item_features": {"colour": 4}, "user_features": {"town": "5"}}
    log = table(tmp_path, lines, columns=columns)
    assert values(log, "colour") == {"a": ["red", "blue", "green"], "b": []}
    assert values(log, "town", "user") == {"u": ["x"], "v": ["y"]}


@pytest.mark.rules("data-R6")
def test_a_user_with_one_interaction_stays_and_every_count_is_in_the_notes(tmp_path):
    log = table(tmp_path, ["u,a,1", "v,a,1", "v,b,1", "w,a,3"])
    assert rows(log) == {"u": ["a"], "v": ["a", "b"], "w": ["a"]}
    notes = log.notes
    assert (notes["single_interaction_users"], notes["ties"]) == (2, 1)
    assert (notes["interactions"], notes["users"], notes["items"]) == (4, 3, 2)
    assert tuple(notes) == NOTES
