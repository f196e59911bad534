"""Any path: only regular files are opened, and no path leads out of an archive."""

import os
from pathlib import Path

import pytest

from mindref.data.readers import read_log
from mindref.errors import DataError
from tests.data.reading import rows, write, zipped


@pytest.mark.rules("data-R75")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_pipes_and_devices_are_not_opened(tmp_path, kind):
    path = Path(os.devnull) if kind == "device" else tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(path)  # reading it would wait for a writer, for ever
    with pytest.raises(DataError, match="expected a file or a folder, got a pipe or a device"):
        read_log(path)


def test_members_outside_an_archive_are_not_read(tmp_path):
    """The path after the colon is compared with member names, including dots and slashes."""
    secret = write(tmp_path / "secret", "u secret\nu b\n")
    home = tmp_path / "home"
    home.mkdir()
    names = {"../secret": b"u a\n", str(secret): b"u a\n", "../../new": b"u a\n"}
    path = zipped(home / "log.zip", names)
    before = sorted(tmp_path.rglob("*"))
    for name in names:
        assert rows(read_log(f"{path}:{name}", format="pairs")) == {"u": ["a"]}
    lone = zipped(home / "lone.zip", {"log": b"u a\n"})
    for name in ("../secret", str(secret), "log/../../secret", "./log", "log\0"):
        with pytest.raises(DataError):
            read_log(f"{lone}:{name}", format="pairs")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, lone])


def test_impossible_paths_are_missing_files(tmp_path):
    for path in ("x" * 5000, "x/" * 3000, "a\0b", f"{tmp_path}/x:" + "y" * 5000):
        with pytest.raises(DataError, match="expected a file or a folder, got nothing there"):
            read_log(path)


def test_archives_with_broken_directories_are_refused(tmp_path):
    whole = zipped(tmp_path / "log.zip", {"lög": b"u a\n" * 50}).read_bytes()
    for broken in (
        whole.replace("lög".encode(), b"l\xff\xfeg"),  # no UTF-8, as the flag says
        whole.replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\xff"),  # needs version 25.5
        whole[:60] + b"\xff" * 8 + whole[68:],
    ):
        assert broken != whole
        (tmp_path / "log.zip").write_bytes(broken)
        with pytest.raises(DataError, match=r"expected a (whole|readable)"):
            read_log(tmp_path / "log.zip")
