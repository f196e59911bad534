"""The folders of the user, also of a user without a home folder."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from mindref.process import user_folders

FOLDERS = {"XDG_CACHE_HOME": "user_cache_folder", "XDG_STATE_HOME": "user_state_folder"}


@pytest.mark.parametrize("variable", FOLDERS)
def test_the_variables_of_the_system_name_the_folders(variable, tmp_path, monkeypatch):
    find_folder = getattr(user_folders, FOLDERS[variable])
    monkeypatch.delenv(variable, raising=False)
    assert find_folder().is_relative_to(Path.home())
    monkeypatch.setenv(variable, str(tmp_path))
    assert find_folder() == tmp_path / "mindref"


@pytest.mark.parametrize("name", FOLDERS.values())
def test_without_a_home_folder_there_is_none(name, monkeypatch):
    """No folder named `~` is created in the current folder."""
    for variable in ("HOME", *FOLDERS):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", Mock(side_effect=KeyError("no such user")))
    assert getattr(user_folders, name)() is None
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/mindref")
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *_, **__: "~/.local/state/mindref")
    assert getattr(user_folders, name)() is None
