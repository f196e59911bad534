"""Further input files: regular files and named pipes only, of a bounded size."""

import os
import threading
from pathlib import Path

import pytest

from mindref.errors import ConfigError
from mindref.recommender.serving import list_request
from mindref.run import user_files
from mindref.run.user_files import read_input_text


@pytest.mark.rules("faults-R22")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/null"])
def test_a_device_and_a_folder_are_not_opened(device, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it is opened"))
    with pytest.raises(ConfigError, match=r"--x .*: expected a file, got a folder; write its"):
        read_input_text("--x", tmp_path)
    if not os.path.exists(device):
        pytest.skip("this system has no such device")
    with pytest.raises(ConfigError, match=r"--x .*: expected a file, got a device; write its"):
        read_input_text("--x", Path(device))


@pytest.mark.rules("faults-R22")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_and_one_without_a_writer_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("é\n" * 100_000, encoding="utf-8"))
    writer.start()
    assert read_input_text("--x", path) == "é\n" * 100_000
    writer.join()
    monkeypatch.setattr(user_files, "FIRST_BYTE_SECONDS", 0.05)
    with pytest.raises(ConfigError, match=r"--x .*: expected a pipe with a writer, got nothing"):
        read_input_text("--x", path)


@pytest.mark.rules("faults-R22")
def test_a_long_text_is_rejected_after_its_limit(tmp_path, monkeypatch):
    path = tmp_path / "text"
    monkeypatch.setattr(user_files, "LONGEST_INPUT", 10)
    path.write_text("x" * 10, encoding="utf-8")
    assert read_input_text("--x", path) == "x" * 10
    path.write_text("x" * 11, encoding="utf-8")
    with pytest.raises(ConfigError, match="a text of at most 10 bytes, got more"):
        read_input_text("--x", path)


def test_a_list_of_items_has_lines_of_a_bounded_length(tmp_path, monkeypatch):
    monkeypatch.setattr(list_request, "LONGEST_INPUT", 4)
    path = tmp_path / "items"
    path.write_text("abc\nde\n", encoding="utf-8")
    assert list_request.read_item_lists(path, "--only").shared == ["abc", "de"]
