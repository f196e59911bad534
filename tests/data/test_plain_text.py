"""Plain text read by pyarrow: the log, the counts and the errors are those of the reference."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import InteractionLog
from mindref.data.readers import interactions, read_log, text
from mindref.data.readers.data_file import DataFile
from mindref.errors import DataError, MindrefError
from tests.data.reading import CSV, plain, write
from tests.faults.damage import damages
from tests.faults.logs import FORMS, lay, name_of, rows
from tests.faults.test_inputs import OPTIONS

text_blocks = pytest.importorskip(
    "mindref.data.readers.text_blocks", reason="pyarrow is the extra mindref[parquet]"
)

NEVER = 1 << 60


def read(path, min_bytes, block_bytes=64, **options):
    """Return the fields of the log, or the message of the error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "MIN_BYTES", min_bytes)
        patch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
        try:
            log = read_log(path, **options)
        except MindrefError as error:
            return type(error), str(error)
    return {field.name: plain(getattr(log, field.name)) for field in dataclasses.fields(log)}


def assert_like_the_reference(path, block_bytes=64, **options):
    expected = read(path, NEVER, **options)
    assert read(path, 0, block_bytes, **options) == expected
    return expected


LINES = [f"u{i % 7},i{i % 11},{i // 2}" for i in range(40)]


def changed(row, line):
    return [*LINES[:row], line, *LINES[row:]]


CASES = {
    "whole": LINES,
    "carriage returns": "\r\n".join(LINES),
    "a carriage return in a field": changed(20, "u1\r,i1,5"),
    "a carriage return as a line end": "\r".join(LINES),
    "a carriage return between rows": changed(20, "u1,i1,5\ru2,i2,6"),
    "two carriage returns": changed(20, "u1,i1,5\r\r"),
    "no line end": "\n".join(LINES),
    "blank lines": changed(3, "\n \n\t"),
    "a blank line of other blanks": changed(20, "\u00a0\n\x0b\n\x1c\x85"),
    "blanks around fields": changed(20, " u1 ,\ti1\t, 5 "),
    "blanks in an empty id": changed(20, "u1, ,5"),
    "an id of other blanks": changed(20, "\u00a0,i1,5"),
    "quotes": changed(20, '"u1","i,1",5'),
    "a quote over lines": changed(20, '"u\n1",i1,5'),
    "an open quote": changed(20, '"u1,i1,5'),
    "a quote within a field": changed(20, 'u"1,i1,5'),
    "quotes in the first line": changed(0, '"u1","i1",5'),
    "a byte order mark": "\ufeff" + "\n".join(LINES),
    "two byte order marks": "\ufeff\ufeff" + "\n".join(LINES),
    "a byte order mark later": "\n".join(changed(9, "\ufeffu1,i1,5")),
    "UTF-16": "\n".join(LINES).encode("utf-16"),
    "bytes that are not UTF-8": "\n".join(changed(20, "u\udcff,i1,5")).encode(
        "utf-8", "surrogateescape"
    ),
    "bytes of another column": "\n".join([f"{x},x" for x in LINES[:30]] + ["u,i,5,\udcff"]).encode(
        "utf-8", "surrogateescape"
    ),
    "a zero byte": changed(20, "u\0,i1,5"),
    "other letters": changed(20, "ü,\u202e\U0001f3b5,5"),
    "too few fields": changed(20, "u1,i1"),
    "too many fields": changed(20, "u1,i1,5,x"),
    "surplus empty fields": changed(20, "u1,i1,5,,"),
    "no user": changed(20, ",i1,5"),
    "no time": changed(20, "u1,i1,"),
    "null": changed(20, "null,NA,5"),
    **{
        f"time {time}": changed(20, f"u1,i1,{time}")
        for time in (
            "nan", "inf", "1e999", "-0", "+5", "1_0", "0x10", "5.", ".5", "1e5", " 7 ", "1e-400",
            "5e-324", "0.1", "123456789.123456789", "9" * 30, "٥", "2012-04-13", "2012-04-13T01Z",
            "true", "1,5", "1 5", "١.5",
        )
    },
    "dates": [f"u{i % 7},i{i % 11},2012-04-{i % 30 + 1:02}" for i in range(40)],
    "a date among numbers": changed(20, "u1,i1,2012-04-13"),
    "a number among dates": [f"u,i{i},{'5' if i == 9 else '2012-04-13'}" for i in range(40)],
    "a long line": changed(20, "u" * 3000 + ",i1,5"),
    "one line": ["u,i,5"],
    "nothing": "",
}  # fmt: skip


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
@pytest.mark.slow(every=3)
def test_unusual_text_is_read_as_by_the_reference(tmp_path, name, block_bytes):
    path = write(tmp_path / "log", CASES[name])
    for limit in (0, 3, "auto"):
        options = {"max_bad_lines": limit, "format": "delimited"}
        assert_like_the_reference(path, block_bytes, columns=CSV, **options)
        assert_like_the_reference(path, block_bytes, columns={**CSV, "time": None}, **options)


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize(
    "columns",
    [
        {"at_least": {"score": 3}},
        {"keep": {"kind": ["buy", "cart"]}},
        {"keep": {"kind": ["none"]}},
        {"title": "name", "item_features": {"kind": "kind", "s": "score"}},
        {"user_features": {"name": "name"}, "separator": "a", "keep": {"kind": ["buy"]}},
        {"time_format": "ms"},
        {"time_format": "%S"},
        {"time": "score", "item_features": {"s": "score"}},
        {"user": "item", "item": "item"},
        {"header": False},
    ],
)
def test_filters_titles_and_features_are_those_of_the_reference(tmp_path, columns):
    lines = ["user,item,time,score,kind,name"]
    kinds, names = ("buy", "cart", "view", ""), ("Alpha", "", " Beta", "Gamma|a")
    for i in range(60):
        score = "" if i == 50 else i % 6
        lines.append(f"u{i % 5},i{i % 7},{i},{score},{kinds[i % 4]},{names[i % 3]}")
    path = write(tmp_path / "log", lines)
    log = assert_like_the_reference(path, columns=columns, max_bad_lines=3)
    # no interaction is left, or no name of a column
    assert isinstance(log, tuple) == (columns in ({"keep": {"kind": ["none"]}}, {"header": False}))


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("form", ["delimited", "delimited bare", "movielens-tab", "recbole"])
@given(data=st.data())
def test_random_and_damaged_logs_are_read_as_by_the_reference(form, data):
    raw = FORMS[form].write(data.draw(rows(FORMS[form]))) * data.draw(st.sampled_from([1, 1, 9]))
    raw = data.draw(st.one_of(st.just(lambda whole: whole), damages()))(raw)
    options = {"format": name_of(form)}
    if data.draw(st.booleans()):
        options["columns"] = data.draw(OPTIONS)
    options["max_bad_lines"] = data.draw(st.sampled_from(["auto", 0, 3, 1000]))
    with tempfile.TemporaryDirectory() as folder:
        path = lay(Path(folder), raw, data.draw(st.sampled_from(["plain", "plain", "gzip"])))
        assert_like_the_reference(path, data.draw(st.sampled_from([1, 16, 64, 1 << 20])), **options)


HEADERS = [
    '"user","item","time"', 'user,item,"time\n"', "user,item,time\r", '"user,item,time', "",
    " \n\nuser,item,time", "\x1c\nuser,item,time", "\ufeffuser,item,time",
    '"a ""b""",user,item,time', "user,item,\udcff", "\u00fcser,user,item,time",
    "user,item,time" + "," * 3000,
]  # fmt: skip


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("form", ["delimited", "auto"])
def test_a_header_is_read_as_by_the_reference(tmp_path, header, form):
    text = "\n".join([header, *LINES, *LINES])
    path = write(tmp_path / "log", text.encode("utf-8", "surrogateescape"))
    assert_like_the_reference(path, format=form, max_bad_lines=3)


@pytest.mark.rules("data-R85")
def test_a_whole_log_is_read_by_pyarrow_and_quotes_by_the_reference(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(interactions, "read_records", lambda *_: calls.append(1) or ())
    assert isinstance(read(write(tmp_path / "log", LINES), 0, columns=CSV), dict)
    assert isinstance(read(write(tmp_path / "log", [HEADERS[0], *LINES]), 0), dict)
    assert not calls
    read(write(tmp_path / "log", CASES["quotes"]), 0, columns=CSV)
    assert calls


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("packing", ["gzip", "deflated"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_an_incomplete_archive_is_an_error(tmp_path, packing, share):
    rng = np.random.default_rng(0)
    lines = [f"u{u},i{i},{t}" for u, i, t in rng.integers(1 << 30, size=(20_000, 3))]
    path = lay(tmp_path, ("\n".join(lines) + "\n").encode(), packing)
    if packing == "gzip":
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    else:
        packed = bytearray(path.read_bytes())
        packed[int(share * len(packed))] ^= 255
        path.write_bytes(packed)
    kind, message = read(path, 0, 1 << 16, columns=CSV)
    assert kind is DataError
    assert f"{path}" in message


@pytest.mark.rules("data-R85")
def test_a_large_file_is_read_by_pyarrow_and_a_small_one_is_not(tmp_path, monkeypatch):
    file, delimited = DataFile.of(write(tmp_path / "log", LINES * 3)), text.TextFormat(",")
    size = file.path.stat().st_size
    for min_bytes, text_format, is_fast in (
        (size, delimited, True),
        (size, text.TextFormat("::"), False),
        (size + 1, delimited, False),
    ):
        monkeypatch.setattr(text, "MIN_BYTES", min_bytes)
        assert text.has_fast_blocks(text_format, file) == is_fast
    monkeypatch.setattr(text, "MIN_BYTES", 0)
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    assert not text.has_fast_blocks(delimited, file), "without pyarrow"
    assert isinstance(read_log(file.path, columns=CSV), InteractionLog)


@pytest.mark.rules("data-R85")
@pytest.mark.parametrize("row", [0, 20, 39])
def test_a_long_line_is_left_to_the_reference(tmp_path, row, monkeypatch):
    line = "u" * 300 + ",i,5"
    assert text_blocks.is_plain(("\n".join(changed(row, line)) + "\n").encode())
    monkeypatch.setattr(text_blocks, "LONG_LINE", 128)
    assert not text_blocks.is_plain(("\n".join(changed(row, line)) + "\n").encode())
    assert text_blocks.is_plain(("\n".join(LINES) + "\n").encode())
    assert_like_the_reference(write(tmp_path / "log", changed(row, line)), columns=CSV)
