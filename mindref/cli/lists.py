"""Files that a command is told to write."""

from __future__ import annotations

from pathlib import Path

from mindref.cli.settings import check_writable
from mindref.errors import ConfigError, say


def check_file(option: str, path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, unless a file can be made at a path."""
    check_writable(option, path)
    if path is not None and not path.absolute().parent.is_dir():  # no folder is made for a file
        raise ConfigError(say(option, "a file in a folder that exists", path, "make the folder"))
