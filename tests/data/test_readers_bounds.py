"""Reading an untrusted file takes bounded time and memory."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mindref.data.readers import data_file, read_log, sequences
from mindref.data.readers.data_file import MIN_LIMIT
from mindref.data.readers.lines import MAX_LINE_BYTES
from mindref.errors import DataError
from tests.data.reading import values, write, zipped
from tests.runs import python_output

MIB = 1 << 20
PEAK = 300 * MIB  # of a process that reads a bomb; reading three lines takes some 60


@pytest.mark.rules("data-R72")
@pytest.mark.parametrize("before", [b"", b"u a\n", b"u a\n" * 200])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_longest_line_is_read_and_a_longer_one_is_refused(tmp_path, before, end):
    line = b"u " + b"a" * (MAX_LINE_BYTES - 2)
    options = {"format": "pairs", "max_bad_lines": 10**6}
    log = read_log(write(tmp_path / "log", before + line + end), **options)
    assert len(log.item_ids[-1]) == MAX_LINE_BYTES - 2
    path = write(tmp_path / "log", before + line + b"a" + end)
    with pytest.raises(DataError, match=r"expected lines of at most 16,777,216 bytes, got more"):
        read_log(path, **options)


@pytest.mark.rules("data-R73")
@pytest.mark.parametrize("packing", ["gzip", "zip"])
def test_a_compressed_file_that_expands_too_much_is_refused(tmp_path, packing):
    """Yield blank lines without end."""
    data = b"u a\n" + (b" " * (MIB - 1) + b"\n") * 80
    path = write(tmp_path / "log", data, packing)
    assert path.stat().st_size * 100 < MIN_LIMIT < len(data)
    with pytest.raises(DataError, match="at most 64 MiB, or 100 times the file's size, unpacked"):
        read_log(path, format="pairs")


@pytest.mark.rules("data-R73")
def test_a_compressed_log_within_the_limit_is_read(tmp_path, monkeypatch):
    """A compressed file with a high ratio, and a large one."""
    monkeypatch.setattr(data_file, "MIN_LIMIT", MIB)
    few = b"u a\n" + b"u b\n" * 20_000
    assert len(few) > 100 * len(gzip.compress(few))
    read = read_log(write(tmp_path / "few", few, "gzip"), format="pairs")
    assert read.notes["lines"] == 20_001
    many = b"".join(b"u a" + os.urandom(512).hex().encode() + b"\n" for _ in range(2000))
    assert len(many) > MIB
    read = read_log(write(tmp_path / "many", many, "gzip"), format="sequences", max_bad_lines=10**6)
    assert read.notes["lines"] == 2000


@pytest.mark.rules("data-R73")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_with_other_compression_methods_are_refused(tmp_path, method):
    path = zipped(tmp_path / "log.zip", {"log": b"u a\nu b\n"}, method)
    with pytest.raises(DataError, match="neither stored nor deflated; unpack it first"):
        read_log(path)


def constant(path, count):
    """Write a Parquet file with equal rows."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, "i1")), pa.array(["a"]))
    pq.write_table(pa.table({"user": same, "item": same}), path, row_group_size=count)
    return path


@pytest.mark.rules("data-R79")
def test_too_many_rows_per_byte_are_refused(tmp_path, monkeypatch):
    parquet = pytest.importorskip("mindref.data.readers.parquet_file")
    many = constant(tmp_path / "many", parquet.MIN_LIMIT + 1)
    with pytest.raises(DataError, match=r"at most 1,048,576 rows, or 16 for .*, got 1,048"):
        read_log(many)
    few = constant(tmp_path / "few", 1000)
    assert parquet.RATIO * few.stat().st_size > 1000
    for plenty in (1000, 0):
        monkeypatch.setattr(parquet, "MIN_LIMIT", plenty)
        monkeypatch.setattr(parquet, "RATIO", 0 if plenty else 16)
        assert read_log(few).notes["interactions"] == 1000


def test_a_value_in_a_million_rows_is_stored_once(tmp_path):
    """A Parquet file of a few kilobytes whose text would take 6 GB."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    long = pa.array(["t" * 100_000])
    titles = pa.DictionaryArray.from_arrays(pa.array([0] * 60_000, pa.int32()), long)
    ids = pa.array(["a"] * 60_000)
    parquet.write_table(pa.table({"user": ids, "item": ids, "title": titles}), tmp_path / "log")
    log = read_log(tmp_path / "log")
    assert [len(title) for title in log.titles] == [100_000]


RED = {"a": ["red"], "b": []}


@pytest.mark.rules("data-R80")
def test_attribute_files_above_the_limit_are_refused(tmp_path, monkeypatch):
    log, most = write(tmp_path / "log", "u a b\nv a b\n"), sequences.MIN_LIMIT
    text = json.dumps(RED)
    whole = write(tmp_path / "items.json", text + " " * (most - len(text)), "gzip")
    assert whole.stat().st_size * sequences.RATIO < most
    assert values(read_log(log, item_file=whole), "attributes") == RED
    larger = write(tmp_path / "items.json", text + " " * (most + 1 - len(text)), "gzip")
    with pytest.raises(DataError, match="expected at most 4 MiB of JSON, or 10 times"):
        read_log(log, item_file=larger)
    plain = write(tmp_path / "items.json", text)
    monkeypatch.setattr(sequences, "MIN_LIMIT", 0)
    assert values(read_log(log, item_file=plain), "attributes") == RED


def bombs(folder):
    """Write files of about 1.6 MB that expand to 1.6 GB. A gzip file may have several members."""
    zeros, spaces = (gzip.compress(x * (16 * MIB), 9) * 100 for x in (b"\0", b" "))
    lines = gzip.compress((b" " * (MIB - 1) + b"\n") * 16, 9) * 100
    parquet = gzip.compress(b"PAR1", 9) + zeros
    made = {"zeros": zeros, "spaces": spaces, "lines": lines, "parquet": parquet}
    paths = {}
    for name, data in made.items():
        paths[name] = folder / name
        paths[name].write_bytes(data)
    paths["zipped"] = zipped(folder / "zipped", {"log.gz": lines})
    paths["rows"] = constant(folder / "rows", 5_000_000)
    paths["attributes.json"] = folder / "attributes.json"
    paths["attributes.json"].write_bytes(gzip.compress(b'{"a": [' + b"[]," * (20 * MIB) + b"0]}"))
    return paths


CHILD = """
import sys
from mindref.bench.machine import peak_bytes
from mindref.data.readers import read_log
from mindref.errors import DataError
try:
    log, beside = (sys.argv[1:] + [None])[:2]
    read_log(log, max_bad_lines=10**6, columns={"user": 1, "item": 2}, item_file=beside)
except DataError as error:
    print(peak_bytes(), error)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no VmHWM on this system")
@pytest.mark.rules("data-R72", "data-R73", "data-R79", "data-R80")
@pytest.mark.slow
def test_decompression_bombs_do_not_fill_the_memory(tmp_path):
    for name, path in bombs(tmp_path).items():
        beside = [str(write(tmp_path / "log", "u,a,1\n"))] if path.suffix == ".json" else []
        output = python_output(CHILD, *beside, path)
        peak, _, said = output.partition(" ")
        assert "expected" in said, (name, output)
        # pyarrow wants the file in one piece: as large as it may be
        allowed = PEAK + (160 * MIB if name == "parquet" else 0)
        assert int(peak) < allowed, (name, peak, said)
