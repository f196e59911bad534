"""What a command looks at before anything slow: places to write to, and settings of --resume."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from mindref.cli.settings import check_writable
from mindref.cli.train import refuse_changes
from mindref.config import Config
from mindref.errors import ConfigError
from mindref.run.source import Source
from tests.cli.conftest import Cli


def test_a_place_that_can_be_written_is_let_through_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    for path in (None, file, tmp_path, tmp_path / "new", tmp_path / "new" / "and" / "deep"):
        check_writable("--out", path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file" / "run", tmp_path / "file" / "a" / "run"):
        with pytest.raises(ConfigError, match=r"--out: expected a place .* look at .*file$"):
            check_writable("--out", path)


def test_a_folder_without_the_right_to_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ConfigError, match=f"--output: expected a place .* look at {tmp_path}$"):
        check_writable("--output", tmp_path / "new")


def test_where_to_write_is_looked_at_before_the_log_is_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    said = cli("train", "--out", "/dev/null/run")
    assert said.code == 2
    assert "--out: expected a place that can be written" in said.err


@pytest.mark.parametrize("setting", dataclasses.fields(Config), ids=lambda setting: setting.name)
def test_resuming_refuses_every_setting_even_at_its_default(setting: Any) -> None:
    option = "--" + setting.name.replace("_", "-")
    value = "a,b" if isinstance(setting.default, tuple) else setting.default
    with pytest.raises(ConfigError, match=f"--resume: expected no other settings, got {option};"):
        refuse_changes({"split": None, setting.name: value, "keep": ()}, {})


def test_resuming_refuses_options_of_reading_and_nothing_else() -> None:
    with pytest.raises(ConfigError, match="got options of how the log is read; they are those of"):
        refuse_changes({"split": None}, {"format": "recbole"})
    refuse_changes({"split": None, "keep": ()}, {})
