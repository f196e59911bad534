"""Folders of the user: the cache of compiled functions, and the state with the user's key.

platformdirs returns the folder that each system intends: on Linux `$XDG_CACHE_HOME` and
`$XDG_STATE_HOME`, by default `~/.cache` and `~/.local/state`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import platformdirs


def is_private_folder(folder: Path) -> bool:
    """Return whether a folder is the user's, and is not writable for all others.

    False for a missing folder, and for a path that is not absolute. Systems without owners, such
    as Windows, are not checked.
    """
    if not folder.is_absolute():
        return False
    try:
        status = folder.stat()
    except OSError:
        return False
    if not hasattr(os, "geteuid"):
        return True
    is_open = bool(status.st_mode & stat.S_IWOTH)
    return status.st_uid == os.geteuid() and not is_open  # security-R17


def user_cache_folder() -> Path | None:
    """Return the folder for files that can be computed again, or None without a home folder."""
    return folder_or_none(lambda: platformdirs.user_cache_dir("mindref", appauthor=False))


def user_state_folder() -> Path | None:
    """Return the folder for files that must be kept, or None without a home folder."""
    return folder_or_none(lambda: platformdirs.user_state_dir("mindref", appauthor=False))


def folder_or_none(find_folder: Callable[[], str]) -> Path | None:
    """Return the folder that a function finds, or None without a home folder.

    A user id in a container may have no home. Then platformdirs raises RuntimeError, and older
    versions return a path that begins with "~".
    """
    try:
        folder = find_folder()
    except RuntimeError:
        return None
    return Path(folder) if os.path.isabs(folder) else None
