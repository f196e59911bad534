"""Checks of folders: the current folder, the temporary folder, and the folders of the user."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from mindref.doctor.finding import Finding
from mindref.errors import MindrefError
from mindref.process.user_folders import (
    is_private_folder,
    user_cache_folder,
    user_state_folder,
)
from mindref.run import atomic

LOW_DISK = 200_000_000  # bytes


def check_folder_writable(folder: Path, other: str = "use another folder, or --out") -> Finding:
    """Return whether files can be written, flushed, renamed and locked in a folder."""
    try:
        inner = Path(tempfile.mkdtemp(prefix=".mindref-doctor-", dir=folder))
    except OSError as error:
        return Finding.of(f"{folder} is not writable ({error.strerror})", other)
    try:
        atomic.write_bytes(inner / "written", b"content")  # flushed, fsynced, renamed
        if (inner / "written").read_bytes() != b"content":
            raise OSError("the content read differs from the content written")
        lock_error = try_lock(inner / "written")
        free = shutil.disk_usage(folder).free
    except (OSError, MindrefError) as error:
        summary = f"{folder}: a file cannot be written durably ({error})"
        return Finding.of(summary, f"a run in this folder would be lost: {other}", problem=True)
    finally:
        shutil.rmtree(inner, ignore_errors=True)
    facts = {"path": str(folder), "locks": lock_error, "free": free}
    summary, todo = f"{folder} is writable, {free / 1e9:.1f} GB free", ""
    if lock_error:
        summary += f"; no file locks ({lock_error})"
        todo = "do not let two processes write to the same run, export or list"
    elif free < LOW_DISK:
        todo = "free disk space: a run stores its parameters four times"
    return Finding.of(summary, todo, facts)


def try_lock(path: Path) -> str:
    """Return why a file cannot be locked, "" if it can."""
    try:
        import fcntl

        with path.open("rb+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return "not supported by this system"
    except OSError as error:
        return str(error.strerror)
    return ""


def check_user_folders() -> Finding:
    """Return whether the folders of compiled functions and of the user's key can be used."""
    cache, key = os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("MINDREF_KEY")
    folders = {
        "cache": Path(cache) if cache else user_cache_folder(),
        "key": Path(key).parent if key else user_state_folder(),
    }
    todo = {
        "cache": "set NUMBA_CACHE_DIR to a writable folder that is yours alone",
        "key": "set MINDREF_KEY to a file in a writable folder",
    }
    cache_folder = folders["cache"]
    is_shared = (
        cache_folder is not None and cache_folder.is_dir() and not is_private_folder(cache_folder)
    )
    bad = [
        x for x, path in folders.items() if not can_be_written(path) or (x == "cache" and is_shared)
    ]
    states = [
        f"{x}: {path or 'no home folder'}{' cannot be used' * (x in bad)}"
        for x, path in folders.items()
    ]
    facts = {name: str(folder) if folder else None for name, folder in folders.items()}
    return Finding.of("; ".join(states), "; ".join(todo[name] for name in bad), facts)


def can_be_written(folder: Path | None) -> bool:
    """Return whether a folder is writable, or can be created in its nearest existing parent."""
    if folder is None:
        return False
    absolute = folder.absolute()
    existing = next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
