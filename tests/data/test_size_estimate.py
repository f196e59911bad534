"""The number of interactions that a log will have, estimated before it is read."""

import gzip

import pytest

from mindref.data.readers import read_log, size_estimate
from mindref.data.readers.data_file import DataFile
from mindref.process import memory
from mindref.process.announcements import listen
from tests.data.reading import PACKINGS, write

ROWS = [f"user-{i % 50},item-{i % 70},{1_000_000 + i}" for i in range(3000)]
LOGS = {
    "delimited": "user,item,time\n" + "\n".join(ROWS) + "\n",
    "sequences": "\n".join(f"u{i} " + " ".join(f"i{j}" for j in range(9)) for i in range(300)),
    "sessions": "\n".join(" ".join(f"i{j}" for j in range(10)) for _ in range(300)),
}
COUNTS = {"delimited": 3000, "sequences": 2700, "sessions": 3000}


@pytest.mark.rules("faults-R20")
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", LOGS)
def test_the_estimate_is_near_the_truth(tmp_path, form, packing):
    file = DataFile.of(write(tmp_path / "log", LOGS[form], packing)).single_file()
    estimate = size_estimate.estimate_interactions(file, form)
    assert COUNTS[form] / 1.3 < estimate < COUNTS[form] * 1.3


def test_a_file_of_several_gzip_streams_states_the_last_one(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(LOGS["delimited"].encode()) + gzip.compress(b"u,i,1\n"))
    assert size_estimate.unpacked_bytes(DataFile.of(path)) == 4 * path.stat().st_size


def reading_messages(path, monkeypatch):
    """Return the announcements of reading a log that will hardly fit into memory."""
    lines = []
    with monkeypatch.context() as patch, listen(lines.append):
        patch.setattr(memory, "usable_memory", lambda: size_estimate.PROGRAM_BYTES)
        read_log(path)
    return lines


@pytest.mark.rules("faults-R20")
def test_a_log_that_may_not_fit_is_announced_before_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "log", LOGS["delimited"])
    (line,) = reading_messages(path, monkeypatch)
    assert line.startswith(f"Warning: memory: reading {path}, with about 3,")
    with listen(pytest.fail):
        read_log(path)


@pytest.mark.rules("faults-R20")
def test_parquet_states_its_rows(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"user": ["a", "b"] * 500, "item": ["x", "y"] * 500})
    parquet.write_table(table, tmp_path / "log")
    (line,) = reading_messages(tmp_path / "log", monkeypatch)
    assert "with about 1,000 interactions," in line
