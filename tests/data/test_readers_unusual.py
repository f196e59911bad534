"""Unusual values and options: they are read, or refused with a reason."""

import json

import pytest

from mindref.data.readers import read_log
from mindref.errors import ConfigError, DataError
from tests.data.reading import rows, table, times, write


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
@pytest.mark.parametrize("blank", ["", "  ", "\t", "\u00a0", "\x0b"])
@pytest.mark.parametrize("form", ["pairs", "delimited", "movielens"])
def test_blank_lines_are_skipped_in_every_format(tmp_path, form, blank):
    line = {"pairs": "u a", "delimited": "u,a,1", "movielens": "u::a::5::1"}[form]
    columns = {"user": 1, "item": 2} if form == "delimited" else None
    encoding = "iso-8859-1" if form == "movielens" else "utf-8"
    text = f"{line}\n{blank}\n\n{line}\n{blank}"
    log = read_log(write(tmp_path / "log", text.encode(encoding)), format=form, columns=columns)
    counts = (log.notes["bad_lines"], log.notes["users"], log.notes["lines"])
    assert counts == (0, 1, 5 - (not blank))


@pytest.mark.rules("data-R77")
def test_blank_lines_inside_quotes_are_kept(tmp_path):
    lines = ["user,item,time", "", 'u,"a', "", ' b",1', "   ", 'u,"a', ' b",2']
    assert rows(read_log(write(tmp_path / "log", lines))) == {"u": ["a\n\n b", "a\n b"]}


@pytest.mark.rules("data-R78")
@pytest.mark.parametrize("value", ["1_000", "2012_04_13", "1e1_0"])
def test_a_number_with_an_underscore_is_damaged(tmp_path, value):
    log = table(tmp_path, ["u,a,1", f"u,b,{value}"], max_bad_lines=1)
    assert rows(log) == {"u": ["a"]}


@pytest.mark.rules("data-R78")
@pytest.mark.parametrize("form", ["%", "%Q", "%d %d", "%Y-%", "%s", "%Y\0%"])
def test_an_invalid_date_pattern_is_refused(tmp_path, form):
    with pytest.raises(ConfigError, match="time_format: expected a pattern of dates, got"):
        table(tmp_path, ["u,a,1"], columns={"time_format": form})
    columns = {"time_format": "%d.%m.%y %H:%M:%S %z"}
    assert times(table(tmp_path, ["u,a,01.01.70 01:00:05 +0100"], columns=columns)) == [5]


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[" * 900])
def test_json_that_python_cannot_parse_is_a_damaged_line(tmp_path, value):
    end = "]" * 900 if value == "[" * 900 else ""
    lines = [
        '{"user": 1, "item": 2, "title": ""}',
        f'{{"user": 1, "item": 3, "title": {value}{end}}}',
    ]
    log = read_log(write(tmp_path / "log", lines), max_bad_lines=1)
    assert log.notes["bad_lines"] + log.notes["interactions"] == 2
    with pytest.raises(DataError):
        read_log(write(tmp_path / "log", value), max_bad_lines=1)
    items = write(tmp_path / "items.json", value)
    with pytest.raises(DataError, match="expected a JSON object"):
        read_log(write(tmp_path / "log", "u a b\nv a\n"), item_file=items)


def test_an_empty_item_file_is_an_error(tmp_path):
    for option in ("item_file", "user_file"):
        with pytest.raises(DataError, match=r"a header with a column of the .*, got nothing"):
            table(tmp_path, ["u,a,1"], **{option: write(tmp_path / "side", "")})


def test_a_list_of_times_is_damaged(tmp_path):
    lines = [{"user": 1, "item": 2, "time": 3}, {"user": 1, "item": 2, "time": [4]}]
    log = read_log(write(tmp_path / "log", map(json.dumps, lines)), max_bad_lines=1)
    assert times(log) == [3]


@pytest.mark.parametrize(
    "columns",
    [
        *({name: True} for name in ("user", "item", "time", "title")),
        *({name: [1]} for name in ("user", "time_format", "header", "keep", "at_least")),
        *({"at_least": {"1": value}} for value in (float("nan"), "4", None, [])),
        {"keep": {"1": 3}},
        {"keep": {"1": "ab"}},
        {"header": "no"},
        {"time_format": 3},
    ],
)
def test_options_of_another_type_are_refused(tmp_path, columns):
    """A settings file may contain any value."""
    with pytest.raises(ConfigError):
        table(tmp_path, ["u,a,1"], columns=columns)


def test_a_position_of_thousands_of_digits_is_a_missing_column(tmp_path):
    for column in ("9" * 5000, 10**5000):
        with pytest.raises(DataError, match="expected a column"):
            table(tmp_path, ["u,a,1"], columns={"user": column})


def test_times_of_any_size_are_compared(tmp_path):
    """The differences of these times are not finite."""
    lines = ["u,a,1e308", "u,b,-1e308", "u,b,-1e308", "u,c,-1e308", "u,d,5e-324", "u,d,0"]
    log = table(tmp_path, lines)
    assert times(log) == [-1e308, -1e308, 0, 5e-324, 1e308]
    assert (log.notes["duplicates"], log.notes["ties"]) == (1, 1)


def test_ids_of_bytes_in_parquet_are_their_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table_of = pa.table({"user": [b"u\xc3\xa9", b"v"], "item": [b"a", b"b"], "time": [1, 2]})
    parquet.write_table(table_of, tmp_path / "log")
    assert rows(read_log(tmp_path / "log")) == {"u\u00e9": ["a"], "v": ["b"]}
    bad = pa.table({"user": [b"u", b"\xff"], "item": [b"a", b"b"]})
    parquet.write_table(bad, tmp_path / "log")
    assert rows(read_log(tmp_path / "log", max_bad_lines=1)) == {"u": ["a"]}
