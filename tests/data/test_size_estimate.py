"""The number of interactions that a log will have, estimated before it is read."""

import gzip
import zipfile

import pytest

from mindref.data.readers import read_log, size_estimate
from mindref.data.readers.data_file import DataFile
from mindref.process import memory
from mindref.process.announcements import listen

ROWS = [f"user-{i % 50},item-{i % 70},{1_000_000 + i}" for i in range(3000)]
LOGS = {
    "delimited": "user,item,time\n" + "\n".join(ROWS) + "\n",
    "sequences": "\n".join(f"u{i} " + " ".join(f"i{j}" for j in range(9)) for i in range(300)),
    "sessions": "\n".join(" ".join(f"i{j}" for j in range(10)) for _ in range(300)),
}
COUNTS = {"delimited": 3000, "sequences": 2700, "sessions": 3000}


def packed(path, text, how):
    """Write a text: plain, by gzip, or as a file of an archive."""
    if how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("log", text)
    elif how == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return DataFile.of(path).single_file()


@pytest.mark.rules("faults-R20")
@pytest.mark.parametrize("how", ["plain", "gzip", "zip"])
@pytest.mark.parametrize("form", LOGS)
def test_the_estimate_is_near_the_truth(tmp_path, form, how):
    file = packed(tmp_path / "log", LOGS[form], how)
    estimate = size_estimate.estimate_interactions(file, form)
    assert COUNTS[form] / 1.3 < estimate < COUNTS[form] * 1.3


def test_a_file_of_several_gzip_streams_states_the_last_one(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(LOGS["delimited"].encode()) + gzip.compress(b"u,i,1\n"))
    assert size_estimate.unpacked_bytes(DataFile.of(path)) == 4 * path.stat().st_size


@pytest.mark.rules("faults-R20")
def test_a_log_that_may_not_fit_is_announced_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_text(LOGS["delimited"], encoding="utf-8")
    lines = []
    monkeypatch.setattr(memory, "usable_memory", lambda: size_estimate.PROGRAM_BYTES)
    with listen(lines.append):
        read_log(path)
    assert len(lines) == 1
    assert lines[0].startswith(f"Warning: memory: reading {path}, with about 3,")
    monkeypatch.undo()
    with listen(lines.append):
        read_log(path)
    assert len(lines) == 1


@pytest.mark.rules("faults-R20")
def test_parquet_states_its_rows(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"user": ["a", "b"] * 500, "item": ["x", "y"] * 500})
    parquet.write_table(table, tmp_path / "log")
    lines = []
    monkeypatch.setattr(memory, "usable_memory", lambda: size_estimate.PROGRAM_BYTES)
    with listen(lines.append):
        read_log(tmp_path / "log")
    assert "with about 1,000 interactions," in lines[0]
