"""Each format is recognised by its first lines, or the error shows them."""

import pytest

from mindref.data.readers import FORMATS, read_log
from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.detect import recognise_format
from mindref.errors import ConfigError, DataError
from tests.data.reading import CSV, rows, write

KNOWN = {
    "movielens": ["1::2::3.5::4", "1::3::4::5"],
    "movielens-tab": ["1\t2\t3\t4", "1\t3\t4\t5"],
    "recbole": ["user_id:token\titem_id:token\trating:float", "1\t2\t3"],
    "pairs": ["1 2", "1 3", "2 2"],
    "sequences": ["1 2 3 4", "2 3", "3 4 5"],
    "jsonl": ['{"user": 1, "item": 2}', '{"user": 1, "item": 3}'],
}
TABLES = [
    ["user,item,time", "1,2,3"],
    ["userId,movieId,rating,timestamp", "1,2,3,4"],
    ["SessionId\tItemId\tTime", "1\t2\t3"],
    ["USER_ID;product-id", "1;2"],
    ['"reviewer ID"|asin', "1|2"],
]


def form_of(path, lines, **columns):
    return recognise_format(DataFile.of(write(path / "log", lines)), Columns(**columns))


@pytest.mark.rules("data-R21")
@pytest.mark.parametrize("lines", TABLES)
def test_a_table_is_recognised_by_usual_column_names(tmp_path, lines):
    assert form_of(tmp_path, lines) == "delimited"
    assert rows(read_log(tmp_path / "log")) == {"1": ["2"]}


@pytest.mark.rules("data-R21")
@pytest.mark.parametrize("lines", [["1,2,3"], ["Once upon"], ["1\t2\t3"], [""]])
def test_an_unknown_format_is_an_error_with_the_first_line(tmp_path, lines):
    path = write(tmp_path / "log", [*lines, "a third, line"])
    with pytest.raises(DataError) as caught:
        read_log(path)
    assert repr(lines[0])[1:-1] in str(caught.value) or not lines[0].isprintable()
    assert all(f"  {name}" in str(caught.value) for name in FORMATS)


@pytest.mark.parametrize("options", [{}, {"format": "delimited"}, {"columns": CSV}])
def test_an_empty_or_a_binary_file_is_named(tmp_path, options):
    empty, binary = "a log, got an empty file$", "text in UTF-8, got a binary file or"
    for content, message in (
        *((content, empty) for content in (b"", b"\n \n")),
        *((content, binary) for content in (b"\x89PNG\r\n\0\1", bytes(range(128, 256)) * 3)),
    ):
        if message == binary and "format" in options:
            continue
        with pytest.raises(DataError, match=f"log: expected {message}"):
            read_log(write(tmp_path / "log", content), **options)


@pytest.mark.rules("data-R21")
def test_a_requested_format_is_not_detected(tmp_path):
    path = write(tmp_path / "log", KNOWN["pairs"])
    assert rows(read_log(path, format="sessions")) == {
        "1": ["1", "2"],
        "2": ["1", "3"],
        "3": ["2", "2"],
    }
    with pytest.raises(ConfigError, match="format"):
        read_log(path, format="csv")


@pytest.mark.rules("data-R21", "data-R22")
@pytest.mark.parametrize(
    ("form", "lines"),
    [
        *KNOWN.items(),
        ("pairs", ["u a", "v b"]),
        ("pairs", ["u\ta", "u\tb"]),
        ("sequences", ["u a", "v b c"]),
    ],
)
def test_a_format_is_recognised_by_its_first_lines_or_requested_columns(tmp_path, form, lines):
    assert form_of(tmp_path, lines) == form
    assert form_of(tmp_path, ["1,2,3", "1,3,4"], user="1", item="2") == "delimited"


@pytest.mark.rules("data-R21", "data-R22")
def test_repeated_first_words_are_ambiguous(tmp_path):
    with pytest.raises(DataError, match="sequences or sessions"):
        form_of(tmp_path, ["7 8", "7 9 10"])
    sessions = rows(read_log(tmp_path / "log", format="sessions"))
    assert sessions == {"1": ["7", "8"], "2": ["7", "9", "10"]}
    lines = [f"i{n} a b" for n in range(120)] + ["i0 c"] * 11
    with pytest.raises(DataError, match="are these sessions"):
        read_log(write(tmp_path / "log", lines))
