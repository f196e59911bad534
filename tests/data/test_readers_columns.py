"""Columns and times: names, positions, quotes, filters, time formats, unusual values."""

import pytest

from mindref.data.readers import Columns, read_log
from mindref.errors import ConfigError, DataError
from tests.data.reading import rows, table, times, values, write


def moment(path, text, form="auto"):
    log = table(path, [f'u,a,"{text}"'], columns={"time_format": form, "header": False})
    return times(log)[0]


@pytest.mark.rules("data-R18")
@pytest.mark.parametrize(
    ("text", "form", "seconds"),
    [
        ("1334275500", "auto", 1334275500),
        ("-428720400.25", "auto", -428720400.25),
        ("1.5e3", "seconds", 1500),
        ("1334275500250", "ms", 1334275500.25),
        ("-428720400000", "ms", -428720400),
        ("2012-04-13", "auto", 1334275200),
        ("2012-04-13 00:05:00.5", "iso", 1334275500.5),
        ("2012-04-13T00:05Z", "auto", 1334275500),
        ("2012-04-13T02:05+02:00", "iso", 1334275500),
        ("13/4/2012 0:05", "day-first", 1334275500),
        ("13.04.2012", "day-first", 1334275200),
        ("3-4-2012 00:00:07", "day-first", 1333411207),
        ("Apr 13, 2012", "%b %d, %Y", 1334275200),
        ("13 04 69 +0100", "%d %m %y %z", -22726800),
        ("01.01.70 01:00:05 +0100", "%d.%m.%y %H:%M:%S %z", 5),
        ("29/02 01:00", "%d/%m %H:%M", -2077743600),
        ("100%13/4", "100%%%d/%m", -2073945600),
    ],
)
def test_a_time_is_seconds_or_a_date_in_utc(tmp_path, monkeypatch, text, form, seconds):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    __import__("time").tzset()
    assert moment(tmp_path, text, form) == seconds
    monkeypatch.undo()
    __import__("time").tzset()


NO_TIME = r"line 1: .* is not a time \(seconds or an ISO date\); see --time-format day-first or a"


@pytest.mark.rules("data-R11", "data-R78")
@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        *((text, "auto", NO_TIME) for text in ("13/4/2012", "1_000", "2012_04_13", "1e1_0")),
        *((text, "auto", NO_TIME) for text in ("nan", "", "3/4/2012 18:18", "x" * 500)),
        ("4/13/2012", "day-first", "line 1: month must be"),
        ("2012", "%d.%m.%y", "line 1: time data"),
    ],
)
def test_a_time_of_another_format_is_damaged(tmp_path, text, form, message):
    with pytest.raises(DataError, match=message) as caught:
        moment(tmp_path, text, form)
    assert repr(text[:60])[:-1] in str(caught.value) or form == "day-first"
    assert len(str(caught.value)) < 800


@pytest.mark.rules("data-R19")
def test_filters_are_applied_before_ids_are_assigned(tmp_path):
    lines = ["u,a,1,view,5", "v,b,2,buy,1", "w,c,3,cart,4", "u,d,4,buy,4.5"]
    columns = {"keep": {"4": ["buy", "cart"]}, "at_least": {"5": 4}}
    log = table(tmp_path, lines, columns=columns)
    assert rows(log) == {"w": ["c"], "u": ["d"]}
    assert list(log.item_ids) == ["c", "d"]
    assert log.notes["filtered"] == 2
    assert log.notes["bad_lines"] == 0


def test_columns_by_name_beside_an_unnamed_index_column(tmp_path):
    lines = [",who,what,Time,Date", '1,u,"a, b",9,3/4/2012', "2,u,c,8,2/4/2012"]
    path = write(tmp_path / "log", lines)
    columns = Columns(user="who", item="what", time="Date", time_format="day-first")
    assert rows(read_log(path, columns=columns)) == {"u": ["c", "a, b"]}
    for column in ("when", 6, "9" * 5000, 10**5000):
        with pytest.raises(DataError, match="expected a column"):
            read_log(path, columns=Columns(user="who", item="what", time=column))


BY_POSITION = {"user": "1", "item": "2"}
TIMED = {"user": 1, "item": 2, "time": 3}
QUOTED = ['u,"a, ""b""",1', 'u,"c\nd",2', 'u,12" record,3']
BLANK_LINES = ["user,item,time", "", 'u,"a', "", ' b",1', "   ", 'u,"a', ' b",2']


@pytest.mark.rules("data-R69", "data-R70", "data-R77")
@pytest.mark.parametrize(
    ("lines", "columns", "expected"),
    [
        (["a,b,c", "u,x,1"], TIMED, {"u": ["x"]}),  # the header is skipped
        (["1,b", "7,x"], {**BY_POSITION, "header": True, "time": 1}, {"7": ["x"]}),
        (["user_id,item_id", "u,a"], BY_POSITION, {"u": ["a"]}),
        (QUOTED, TIMED, {"u": ['a, "b"', "c\nd", '12" record']}),
        (["user,item,kind", "u,a,x", "u,b,y"], {"keep": {"kind": ["y"]}}, {"u": ["b"]}),
        (["u,1~a~5"], {**TIMED, "delimiter": "~"}, {"u,1": ["a"]}),
        # a digit is a position even if the first line contains it, and a name if a header does
        (["1,2,3", "1,5,4"], TIMED, {"1": ["2", "5"]}),
        (["1,2,3", "1,5,4"], {**BY_POSITION, "time": "3"}, {"1": ["2", "5"]}),
        (["who,2,1", "u,7,a"], {"user": "who", "item": "1"}, {"u": ["a"]}),
        (["who,2,1", "u,7,a"], {**BY_POSITION, "header": True}, {"a": ["7"]}),
        (["u :: a b ::1", "u::a b:: 2"], TIMED, {"u": ["a b", "a b"]}),
        (BLANK_LINES, None, {"u": ["a\n\n b", "a\n b"]}),
        *(
            (["1,7,3", "1,5,4"], {**TIMED, "item_features": {"f": x}}, {"1": ["7", "5"]})
            for x in (3, "3")
        ),
        *(
            ([mark.join("ua2"), mark.join("ub1")], TIMED, {"u": ["b", "a"]})
            for mark in ("\t", ",", ";", "|", "::", " ")
        ),
    ],
)
def test_columns_are_found_by_position_or_name(tmp_path, lines, columns, expected):
    assert rows(read_log(write(tmp_path / "log", lines), columns=columns)) == expected


def test_features_may_come_from_the_item_file_the_user_file_and_the_log(tmp_path):
    items = write(tmp_path / "items.tsv", ["movieId\ttitle\tgenres", "a\tAlpha\tx|y"])
    users = write(tmp_path / "users.csv", ["user_id,town", "u,Ys", "w,Ker"])
    path = write(tmp_path / "log", ["user,item,place", "u,a,P", "v,a,P"])
    wanted = {"genres": "genres", "place": "place"}
    columns = {"item_features": wanted, "user_features": {"town": "town"}}
    log = read_log(path, item_file=items, user_file=users, columns=columns)
    assert values(log, "genres") == {"a": ["x", "y"]}
    assert values(log, "place") == {"a": ["P"]}
    assert values(log, "town", "user") == {"u": ["Ys"], "v": []}


@pytest.mark.rules("data-R69")
def test_blanks_around_a_field_are_stripped(tmp_path):
    lines = ["user, item , time", "u , 69,\t5", ' u, "69" , 6 ', 'u,"7, 8", 7', 'u," 9",8 ']
    log = read_log(write(tmp_path / "log", [*lines, "u, ,9"]), max_bad_lines=1)
    assert rows(log) == {"u": ["69", "69", "7, 8", " 9"]}
    assert log.bad_lines[0].endswith("line 6: no item")


PATTERN = "time_format: expected a pattern of dates, got"


@pytest.mark.rules("data-R78")
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        *(({"separator": value}, "separator") for value in ("", 1)),
        *(({"delimiter": value}, "delimiter") for value in ("", '"', "\n")),
        *(({name: ["kind"]}, name) for name in ("keep", "item_features")),
        ({"usr": 1}, "usr"),
        # a settings file may contain any value
        *(({name: True}, None) for name in ("user", "item", "time", "title")),
        *(({name: [1]}, None) for name in ("user", "time_format", "header", "keep", "at_least")),
        *(({"at_least": {"1": value}}, None) for value in (float("nan"), "4", None, [])),
        *(({"keep": {"1": value}}, None) for value in (3, "ab")),
        ({"header": "no"}, None),
        ({"time_format": 3}, None),
        ({"time_format": "minutes"}, "day-first"),
        *(({"time_format": form}, PATTERN) for form in ("%", "%Q", "%d %d", "%Y-%", "%s", "%Y\0%")),
    ],
)
def test_an_invalid_option_is_refused(tmp_path, columns, message):
    with pytest.raises(ConfigError, match=message):
        table(tmp_path, ["u,a,1"], columns=columns)
    with pytest.raises(ConfigError, match="columns: expected a mapping"):
        Columns.of(3)


@pytest.mark.rules("data-R74")
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "", "many"])
def test_a_compared_field_must_be_a_number(tmp_path, value):
    columns = {"at_least": {4: 3}}
    log = table(tmp_path, ["u,a,1,5", f"u,b,2,{value}"], columns=columns, max_bad_lines=1)
    assert rows(log) == {"u": ["a"]}
    assert (log.notes["bad_lines"], log.notes["filtered"]) == (1, 0)


@pytest.mark.rules("data-R76")
@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\x0b", "\x1c", "\x85", "\u3000"])
def test_other_unicode_blanks_are_part_of_a_word(tmp_path, blank):
    name = f"New{blank}York"
    assert rows(read_log(write(tmp_path / "p", f"{name} a\t\n"), format="pairs")) == {name: ["a"]}
    read = read_log(write(tmp_path / "s", f"u  {name}\ta \n"), format="sequences")
    assert rows(read) == {"u": [name, "a"]}
    read = read_log(write(tmp_path / "t", f"{name} {name}\n"), format="sessions")
    assert rows(read) == {"1": [name, name]}


@pytest.mark.rules("data-R17")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["", "  ", "\t", "\u00a0", "\x0b"])
@pytest.mark.parametrize("form", ["pairs", "delimited", "movielens"])
def test_line_ends_and_blank_lines_change_nothing(tmp_path, form, blank, end):
    line = {"pairs": "u a", "delimited": "u,a,1", "movielens": "u::a::5::1"}[form]
    columns = {"user": 1, "item": 2} if form == "delimited" else None
    encoding = "iso-8859-1" if form == "movielens" else "utf-8"
    text = end.join([line, blank, "", line, blank])
    log = read_log(write(tmp_path / "log", text.encode(encoding)), format=form, columns=columns)
    counts = [log.notes[name] for name in ("bad_lines", "users", "items", "lines")]
    assert counts == [0, 1, 1, 5 - (not blank)]


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[" * 900])
def test_json_that_python_cannot_parse_is_a_damaged_line(tmp_path, value):
    end = "]" * 900 if value == "[" * 900 else ""
    text = '{"user": 1, "item": 2, "title": ""}\n{"user": 1, "item": 3, "title": '
    log = read_log(write(tmp_path / "log", f"{text}{value}{end}}}"), max_bad_lines=1)
    assert log.notes["bad_lines"] + log.notes["interactions"] == 2
    with pytest.raises(DataError):
        read_log(write(tmp_path / "log", value), max_bad_lines=1)
    items = write(tmp_path / "items.json", value)
    with pytest.raises(DataError, match="expected a JSON object"):
        read_log(write(tmp_path / "log", "u a b\nv a\n"), item_file=items)


def test_times_of_any_size_are_compared(tmp_path):
    """The differences of these times are not finite."""
    lines = ["u,a,1e308", "u,b,-1e308", "u,b,-1e308", "u,c,-1e308", "u,d,5e-324", "u,d,0"]
    log = table(tmp_path, lines)
    assert times(log) == [-1e308, -1e308, 0, 5e-324, 1e308]
    assert (log.notes["duplicates"], log.notes["ties"]) == (1, 1)
