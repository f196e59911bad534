"""Files of allow and deny lists, and lists from values."""

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError
from mindref.recommender.serving.list_request import (
    ItemLists,
    check_allow_lists,
    parse_item_lists,
    read_item_lists,
)

FORMAT = "expected one item id a line, or a user id, a tab and an item id in every line, got "


def read(tmp_path, data):
    path = tmp_path / "items.txt"
    path.write_bytes(data)
    return read_item_lists(path, "--only")


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\r\n\r\n b \r\na", ["a", " b ", "a"]),
        ("é\\t\u2028x\n\\\\n\n".encode(), ["é\t\u2028x", "\\n"]),
    ],
)
def test_a_file_of_one_column_is_a_list_for_all_users(tmp_path, data, ids):
    lists = read(tmp_path, data)
    assert lists == ItemLists(f"--only {tmp_path / 'items.txt'}", shared=ids)
    assert list(lists.all_ids()) == ids


def test_a_file_of_two_columns_has_a_list_for_each_user(tmp_path):
    lists = read(tmp_path, b"u\ta\nv 1\tb\nu\tc\n")
    assert lists.by_user == {"u": ["a", "c"], "v 1": ["b"]}
    assert lists.shared is None
    assert lists.rows(["v 1", "w", "u"], 3) == [["b"], None, ["a", "c"]]
    assert list(lists.all_ids()) == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("data", "place", "got"),
    [
        (b"", "", "an empty file"),
        (b"\n\r\n", "", "an empty file"),
        (b"a\nu\tb\n", ", line 2", r"'u\\tb'"),
        (b"u\tb\na\n", ", line 2", "'a'"),
        (b"u\tb\tc\n", ", line 1", r"'u\\tb\\tc'"),
        (b"\tb\n", ", line 1", r"'\\tb'"),
        (b"a\n\nu\t\n", ", line 3", r"'u\\t'"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, data, place, got):
    with pytest.raises(DataError, match=f"^--only .*items.txt{place}: {FORMAT}{got}$"):
        read(tmp_path, data)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    expected = r"--exclude .*: expected a UTF-8 file with one item id .*, got no file$"
    with pytest.raises(DataError, match=expected):
        read_item_lists(tmp_path / "missing", "--exclude")
    with pytest.raises(ConfigError, match=r"--exclude .*: expected a file, got a folder"):
        read_item_lists(tmp_path, "--exclude")
    with pytest.raises(DataError, match=r"expected a UTF-8 file .*can't decode byte 0xff"):
        read(tmp_path, b"a\n\xff\n")


def test_values_are_lists_for_all_by_user_or_by_request():
    assert parse_item_lists("only", None) is None
    assert parse_item_lists("only", np.array([3, 4])).shared == ["3", "4"]
    assert sorted(parse_item_lists("only", {"b", 7}).shared) == ["7", "b"]
    by_user = parse_item_lists("only", {1: (x for x in ("a", 2)), "v": []})
    assert by_user.by_user == {"1": ["a", "2"], "v": []}
    lists = parse_item_lists("only", [["a"], None, ()])
    assert lists.by_request == [["a"], None, []]
    assert lists.rows(None, 3) == [["a"], None, []]
    assert parse_item_lists("only", lists) is lists


@pytest.mark.rules("recall-R48")
def test_an_allow_list_with_ids_needs_an_id_of_the_catalogue():
    check_allow_lists(None, [])
    check_allow_lists(ItemLists("only", shared=["x", "a"]), ["a"])
    for lists in ({"shared": []}, {"by_request": [None, []]}, {"by_user": {"u": []}}):
        check_allow_lists(ItemLists("only", **lists), ["a"])
    with pytest.raises(DataError, match=r"got 7 other ids: '0', '1', '2', '3', '4' \.\.\.; write"):
        check_allow_lists(ItemLists("only", by_user={"u": list("0123456")}), {"a": 0})
    for lists in ({"shared": ["x", "x"]}, {"by_request": [["x"], None]}):
        with pytest.raises(DataError, match="got 1 other id: 'x'; write"):
            check_allow_lists(ItemLists("only", **lists), ["a"])
