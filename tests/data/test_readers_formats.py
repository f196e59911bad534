"""Each format: recognised by its first lines, read plain and compressed, with side files."""

import pytest

from mindref.data.readers import FORMATS, read_log
from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.detect import recognise_format
from mindref.errors import ConfigError, DataError
from tests.data.reading import CSV, PACKINGS, rows, times, values, write

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
    expected = {"1": ["1", "2"], "2": ["1", "3"], "3": ["2", "2"]}
    assert rows(read_log(path, format="sessions")) == expected
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


RATINGS = ["1\t5\t3\t20", "2\t5\t3\t30", "1\t6\t4\t10"]
BENCHMARK = "user:token\titem:token\titem_id_list:token_seq\nu\tc\ta b"


def test_the_older_movielens_folder(tmp_path):
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"
    write(tmp_path / "u.data", RATINGS)
    item = f"5|Caf\xe9 (1995)|01-Jan-1995||http://x|{'|'.join(flags)}\n"
    write(tmp_path / "u.item", item.encode("iso-8859-1"))
    write(tmp_path / "u.user", ["1|24|M|writer|8571A", "2|53|F|other|94043"])
    log = read_log(tmp_path)
    assert log.titles == ["Caf\xe9 (1995)", ""]
    assert values(log, "genres") == {"5": ["Action", "Comedy"], "6": []}
    assert values(log, "age", "user") == {"1": ["24"], "2": ["53"]}
    assert values(log, "occupation", "user") == {"1": ["writer"], "2": ["other"]}


def test_recbole_item_and_user_files(tmp_path):
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    write(tmp_path / "x.inter", [header, *RATINGS])
    header = "item_id:token\tmovie_title:token_seq\tclass:token_seq\tprice:float"
    write(tmp_path / "x.item", [header, "5\tA b\tc d\t1.5"])
    write(tmp_path / "x.user", ["user_id:token\tage:token", "1\t24"])
    log = read_log(tmp_path / "x.inter")
    assert log.titles == ["A b", ""]
    assert [feature.name for feature in log.item_features] == ["class"]
    assert values(log, "class") == {"5": ["c", "d"], "6": []}
    assert values(log, "age", "user") == {"1": ["24"], "2": []}


@pytest.mark.rules("data-R23")
def test_the_longest_row_of_a_user_is_the_history(tmp_path):
    header = "user_id:token\titem_id_list:token_seq\titem_id:token"
    lines = ["u\ta\tb", "v\tx\ty", "u\ta b\tc", "u\ta d\te", "u\ta\tb", "w\t\tz"]
    log = read_log(write(tmp_path / "x.inter", [header, *lines]))
    assert rows(log) == {"u": ["a", "b", "c"], "v": ["x", "y"], "w": ["z"]}
    assert log.times is None
    assert log.notes["shorter_rows"] == 3


def test_ratings_are_filtered_by_their_columns_and_a_user_without_items_is_left_out(tmp_path):
    path = write(tmp_path / "ratings", [row.replace("\t", "::") for row in RATINGS])
    assert rows(read_log(path, columns={"at_least": {"rating": 4}})) == {"1": ["6"]}
    log = read_log(write(tmp_path / "log", ["1 6 5", "2", "3 5"]))
    assert rows(log) == {"1": ["6", "5"], "3": ["5"]}
    assert log.notes["empty_rows"] == 1


def test_an_attribute_file_belongs_to_sequences(tmp_path):
    write(tmp_path / "Toys.txt", ["1 6 5", "2 5 7"])
    write(tmp_path / "Toys_item2attributes.json", '{"5": [1, 2], "6": [2], "9": []}')
    log = read_log(tmp_path / "Toys.txt")
    assert values(log, "attributes") == {"6": ["2"], "5": ["1", "2"], "7": []}
    assert (log.notes["unknown_items"], log.notes["unused_items"]) == (1, 1)


@pytest.mark.rules("data-R71")
@pytest.mark.parametrize(
    ("form", "line", "options"),
    [
        ("pairs", "1 2", {"keep": {"kind": ["a"]}}),
        ("pairs", "1 2", {"user": 2, "item": 1}),
        ("sequences", "1 2", {"time_format": "ms"}),
        ("sessions", "1 2", {"header": False}),
        ("sessions", "1 2", {"separator": ","}),
        ("movielens", "1::2::3::4", {"delimiter": ";"}),
        ("movielens-tab", "1\t2\t3\t4", {"header": True}),
        ("recbole", "user:token\titem:token\n1\t2", {"delimiter": ";"}),
        ("jsonl", '{"user": 1, "item": 2}', {"header": True}),
        ("recbole", BENCHMARK, {"keep": {"item": ["c"]}}),
        ("recbole", BENCHMARK, {"at_least": {"item": 1}}),
        ("recbole", BENCHMARK, {"time_format": "ms"}),
    ],
)
def test_an_option_without_effect_is_refused(tmp_path, form, line, options):
    path = write(tmp_path / "log", line)
    read_log(path, format=form)
    with pytest.raises(ConfigError, match=rf"columns\.{next(iter(options))}: expected nothing"):
        read_log(path, format=form, columns=options)


@pytest.mark.rules("data-R71")
def test_an_option_used_by_the_item_file_is_accepted(tmp_path):
    path = write(tmp_path / "log", ["1 2", "1 3"])
    items = write(tmp_path / "items", ["code;label", "2;Zwei"])
    columns = {"item": "code", "title": "label", "delimiter": ";"}
    titles = read_log(path, format="pairs", item_file=items, columns=columns).titles
    assert titles == ["Zwei", ""]
    with pytest.raises(ConfigError, match=r"columns\.title"):
        read_log(path, format="pairs", item_file=items, columns={**columns, "title": "nope"})


def test_lists_in_json_are_several_values(tmp_path):
    lines = ['{"user": 1, "item": 2, "title": "Two", "tags": ["a", "b"]}', '{"user": 1, "item": 3}']
    log = read_log(write(tmp_path / "log", lines), columns={"item_features": {"tag": "tags"}})
    assert values(log, "tag") == {"2": ["a", "b"], "3": []}
    assert (log.titles, log.notes["titled_items"]) == (["Two", ""], 1)


@pytest.mark.parametrize("packing", PACKINGS)
def test_parquet(tmp_path, packing):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = {
        "user": ["u", "u", "v", None],
        "item": [5, 6, 5, 7],
        "time": pa.array([2_500_000, 1_000_000, 3_000_000, 0], pa.timestamp("us")),
        "tags": [["a"], None, ["b", "a"], []],
    }
    parquet.write_table(pa.table(data), tmp_path / "plain")
    path = write(tmp_path / "log", (tmp_path / "plain").read_bytes(), packing)
    columns = {"item_features": {"tags": "tags"}, "time_format": "ms"}  # the type knows better
    log = read_log(path, columns=columns, max_bad_lines=1)
    assert rows(log) == {"u": ["6", "5"], "v": ["5"]}
    assert times(log) == [1, 2.5, 3]
    assert values(log, "tags") == {"5": ["a", "b"], "6": []}
    assert log.bad_lines == (f"{path}{':inner.txt' * (packing == 'zip')}, line 4: no user",)
    assert log.notes["lines"] == 4


def test_a_truncated_parquet_file_and_a_missing_pyarrow_are_errors(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = write(tmp_path / "log", b"PAR1 and then nothing")
    with pytest.raises(DataError, match="whole Parquet file"):
        read_log(path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'pyarrow>=\d+'"):
        read_log(path)
