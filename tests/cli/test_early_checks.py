"""Checks before slow work: output paths, and settings beside --resume."""

import dataclasses
import os
from pathlib import Path

import pytest

from mindref.cli.settings import check_writable
from mindref.cli.train import refuse_changed_settings
from mindref.config import Config
from mindref.errors import ConfigError


def test_a_writable_path_is_accepted_and_unchanged(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    for path in (None, file, tmp_path, tmp_path / "new", tmp_path / "new" / "and" / "deep"):
        check_writable("--out", path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"


def test_a_path_below_a_file_is_rejected(tmp_path):
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file" / "run", tmp_path / "file" / "a" / "run"):
        with pytest.raises(
            ConfigError, match=r"--out: expected a writable location.* check .*file$"
        ):
            check_writable("--out", path)


def test_a_read_only_folder_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(
        ConfigError, match=f"--output: expected a writable location.* check {tmp_path}$"
    ):
        check_writable("--output", tmp_path / "new")


@pytest.mark.parametrize("setting", dataclasses.fields(Config), ids=lambda setting: setting.name)
def test_resume_rejects_every_setting_even_at_its_default(setting):
    option = "--" + setting.name.replace("_", "-")
    value = "a,b" if isinstance(setting.default, tuple) else setting.default
    with pytest.raises(ConfigError, match=f"--resume: expected no other settings, got {option};"):
        refuse_changed_settings({"split": None, setting.name: value, "keep": ()}, {})


def test_resume_rejects_reading_options():
    with pytest.raises(ConfigError, match="got reading options; a run keeps its settings"):
        refuse_changed_settings({"split": None}, {"format": "recbole"})
    refuse_changed_settings({"split": None, "keep": ()}, {})
