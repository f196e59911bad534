"""Damaged lines: recognition, reports and limits."""

import pytest

from mindref.data.readers import read_log
from mindref.errors import ConfigError, DataError
from tests.data.reading import CSV, rows, table, write


def whole(count, first=0):
    return [f"u{i % 7},i{i},{i}" for i in range(first, first + count)]


@pytest.mark.rules("data-R10")
def test_a_damaged_line_is_skipped_and_the_first_ten_are_reported(tmp_path):
    log = table(tmp_path, [*whole(150), "u1,lost", "u1,i1,later", *whole(20, 150)])
    assert [log.notes[x] for x in ("interactions", "bad_lines", "lines")] == [170, 2, 172]
    file = tmp_path / "log.csv"
    assert log.bad_lines[0] == f"{file}, line 151: 2 fields instead of 3"
    assert log.bad_lines[1].startswith(f"{file}, line 152: 'later' is not a time")
    log = table(tmp_path, ["u,a,1", *["?"] * 25], max_bad_lines=30)
    assert (log.notes["bad_lines"], len(log.bad_lines)) == (25, 10)
    assert log.bad_lines[9].endswith("line 11: 1 fields instead of 3")


@pytest.mark.rules("data-R11")
@pytest.mark.parametrize(
    "line",
    ["u,a", "u,a,1,2", ",a,1", "u,,1", "u,a,", "u,a,nan", "u,a,inf", "u,a,soon", "u,a,2012-13-01"],
)
def test_a_line_without_an_interaction_is_damaged(tmp_path, line):
    log = table(tmp_path, ["u,a,1", line, "u,b,2,,"], max_bad_lines=1)  # empty fields are allowed
    assert rows(log) == {"u": ["a", "b"]}
    assert log.notes["bad_lines"] == 1


@pytest.mark.rules("data-R12")
def test_a_damaged_line_among_the_first_hundred_is_an_error(tmp_path):
    lines = whole(300)
    lines[99] = "u,lost"
    with pytest.raises(DataError) as caught:
        table(tmp_path, lines)
    for part in ("log.csv, line 100: 2 fields", "--max-bad-lines", "first 100", "--format"):
        assert part in str(caught.value)


@pytest.mark.rules("data-R13")
@pytest.mark.parametrize(
    ("good", "allowed", "refused", "message"),
    [(100, 10, (100, 11), "11 by line 111"), (11_990, 11, (11_980, 20), "12 by line 11992")],
    ids=["ten", "one in a thousand"],
)
def test_few_damaged_lines_after_the_first_hundred_are_allowed(
    tmp_path, good, allowed, refused, message
):
    assert table(tmp_path, [*whole(good), *["?"] * allowed]).notes["bad_lines"] == allowed
    with pytest.raises(DataError, match=message):
        table(tmp_path, [*whole(refused[0]), *["?"] * refused[1]])


@pytest.mark.rules("data-R14")
@pytest.mark.parametrize("limit", [3, "3"])
def test_a_requested_limit_applies_to_each_file_from_the_first_line(tmp_path, limit):
    lines = ["u,a,1", "?", "?", "?"]
    items = write(tmp_path / "items.csv", ["item,title", "a,Alpha", "b"])
    log = table(tmp_path, lines, item_file=items, max_bad_lines=limit)
    assert log.notes["bad_lines"] == 4
    assert log.bad_lines[3] == f"{items}, line 3: 1 fields instead of 2, or no item"
    with pytest.raises(DataError, match="at most 3 damaged lines"):
        table(tmp_path, [*lines, *whole(5000), "?"], max_bad_lines=limit)
    movies = write(tmp_path / "movies.dat", ["a::Alpha::Drama", "2::Title only"])
    log = table(tmp_path, lines, item_file=movies, max_bad_lines=limit)
    assert log.bad_lines[3] == f"{movies}, line 2: 2 fields instead of 3, or no item"


@pytest.mark.parametrize(
    "limit",
    [-1, "some", "1.5", None, [], float("inf"), float("nan"), "9" * 5000, 1j],
    ids=lambda limit: repr(limit)[:10],
)
def test_an_invalid_limit_is_refused(tmp_path, limit):
    with pytest.raises(ConfigError, match="max_bad_lines"):
        table(tmp_path, ["u,a,1"], max_bad_lines=limit)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("movielens", "1::2::3::4", "1::2::3"),
        ("movielens-tab", "1\t2\t3\t4", "1\t2\t3\tx"),
        ("pairs", "u a", "u a b"),
        ("sequences", "u a b", "u c"),
        ("jsonl", '{"user": 1, "item": 2}', '{"user": 1, "item": 2.5}'),
        ("jsonl", '{"user": 1, "item": 2}', '{"user": 1}'),
        ("jsonl", '{"user": 1, "item": 2}', "[1, 2]"),
        ("jsonl", '{"user": 1, "item": 2, "time": 3}', '{"user": 1, "item": 2, "time": [4]}'),
        ("jsonl", '{"user": 1, "item": 2}', '{"user": 1, "ite'),
    ],
)
def test_every_format_reports_damaged_lines(tmp_path, form, good, bad):
    path = write(tmp_path / "log", [good, bad])
    log = read_log(path, format=form, max_bad_lines=1)
    assert log.notes["bad_lines"] == 1
    assert log.bad_lines[0].startswith(f"{path}, line 2: ")
    with pytest.raises(DataError, match="line 2"):
        read_log(path, format=form)


def test_an_empty_log_error_has_the_numbers_of_lines(tmp_path):
    with pytest.raises(DataError) as caught:
        table(tmp_path, ["user,item,time"])
    got = f"{tmp_path / 'log.csv'}: expected at least one interaction, got none: 1 line read"
    assert str(caught.value).startswith(got)
    with pytest.raises(DataError, match=r"at least one .* 2 lines read, 1 filtered, 1 damaged"):
        table(tmp_path, ["u,a,1", "?"], columns={"keep": {1: ["v"]}}, max_bad_lines=1)


@pytest.mark.parametrize(
    "lines",
    [
        ["u,a,\x1b[2J"],
        ["u,a,1", "u,\x1b,1,1"],
        ["u\x1b[2J,item,time"],
        ["user,\x1b]0;x,title,date,time"],
    ],
)
def test_control_characters_of_a_log_are_escaped_in_messages(tmp_path, lines):
    path = write(tmp_path / "log", lines)
    for options in ({}, {"columns": CSV}, {"columns": {"user": "who", "item": "what"}}):
        with pytest.raises(DataError) as caught:
            read_log(path, **options)
        assert "\x1b" not in str(caught.value)
    items = write(tmp_path / "items", ["x\x1b[2J" + "y" * 5000])
    with pytest.raises(DataError, match="a header with a column of the item") as caught:
        table(tmp_path, ["u,a,1"], item_file=items)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("places", [[5], [281], [290], [299], [300], [2, 3, 4]])
def test_unclosed_quotes_at_any_lines_damage_no_other_line(tmp_path, places):
    rows = ["user,item,time"] + [f"u{i % 50},i{i % 70},{i}" for i in range(300)]
    for place in places:
        rows[place] = f'u1,"i5,{place}'
    read = read_log(write(tmp_path / "log.csv", rows), max_bad_lines=5, keep_duplicates=True)
    counts = (read.notes["bad_lines"], read.notes["interactions"])
    assert counts == (len(places), 300 - len(places))
    assert all("a double quote that is not closed" in line for line in read.bad_lines)
