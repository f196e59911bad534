"""Processor, memory, folders and standard output of this process."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mindref.bench.machine import processor_name
from mindref.doctor.finding import Finding
from mindref.errors import MindrefError
from mindref.process.cgroups import cgroup_cores, cgroup_memory, read_lines
from mindref.process.memory import MIN_ADDRESS_SPACE, total_memory
from mindref.process.threads import usable_cores
from mindref.run import atomic

LOW_MEMORY = 1 << 30  # bytes; the built-in catalogue needs less
LOW_DISK = 200_000_000  # bytes


def check_processor() -> Finding:
    """Return the processor, the usable cores, and the CPU limit of control groups."""
    cores, usable, granted = os.cpu_count() or 1, usable_cores(), cgroup_cores()
    facts = {"model": processor_name(), "cores": cores, "usable": usable, "granted": granted}
    summary, todo = f"{processor_name()}, {usable} of {cores} cores usable", ""
    if granted is not None and granted < usable:
        threads = max(1, math.floor(granted))
        summary += f", limited to {granted:g} by a cgroup"
        todo = f"--threads {threads}: more threads than the limit wait for each other"
    return Finding.of("processor", summary, todo, facts)


def check_memory_size() -> Finding:
    """Return the memory of the machine and the limits on it."""
    total, free = total_memory(), free_memory()
    limits = {name: size for name, size in memory_limits() if size is not None}
    least = min([size for size in (total, *limits.values()) if size is not None], default=None)
    facts = {"total": total, "available": free, "limits": limits}
    summary = f"{format_gigabytes(total)}, {format_gigabytes(free)} available"
    for name, size in limits.items():
        summary += f", {name} {format_gigabytes(size)}"
    address_space = limits.get("RLIMIT_AS")
    if address_space is not None and address_space < MIN_ADDRESS_SPACE:  # faults-R13
        todo = "raise it with ulimit -v: no command can start"
        return Finding.of("memory", summary, todo, facts, problem=True)
    is_low = any(size is not None and size < LOW_MEMORY for size in (least, free))
    todo = "less than 1 GB: lower --batch, --negatives and --window, or raise the limit"
    return Finding.of("memory", summary, todo if is_low else "", facts)


def memory_limits() -> Iterator[tuple[str, int | None]]:
    """Yield name and value of the memory limits, None for no limit."""
    yield "cgroup", cgroup_memory()
    with suppress(ImportError):
        import resource

        for name in ("RLIMIT_AS", "RLIMIT_DATA"):
            soft = resource.getrlimit(getattr(resource, name))[0]
            yield name, None if soft == resource.RLIM_INFINITY else soft


def free_memory() -> int | None:
    """Return the bytes available without swapping, None if unknown."""
    for line in read_lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def format_gigabytes(size: int | None) -> str:
    """Return a size as text."""
    return "unknown size" if size is None else f"{size / 1e9:.1f} GB"


def check_folder_writable(name: str, folder: Path) -> Finding:
    """Return whether files can be written, flushed, renamed and locked in a folder."""
    other = "set TMPDIR" if name == "temporary" else "use another folder, or --out"
    try:
        inner = Path(tempfile.mkdtemp(prefix=".mindref-doctor-", dir=folder))
    except OSError as error:
        return Finding.of(name, f"{folder} is not writable ({error.strerror})", other)
    try:
        atomic.write_bytes(inner / "written", b"content")  # flushed, fsynced, renamed
        if (inner / "written").read_bytes() != b"content":
            raise OSError("the content read differs from the content written")
        lock_error = try_lock(inner / "written")
        free = shutil.disk_usage(folder).free
    except (OSError, MindrefError) as error:
        summary = f"{folder}: a file cannot be written durably ({error})"
        todo = f"a run in this folder would be lost: {other}"
        return Finding.of(name, summary, todo, problem=True)
    finally:
        shutil.rmtree(inner, ignore_errors=True)
    facts = {"path": str(folder), "locks": lock_error, "free": free}
    summary, todo = f"{folder} is writable, {free / 1e9:.1f} GB free", ""
    if lock_error:
        summary += f"; no file locks ({lock_error})"
        todo = "do not let two processes write to the same run, export or list"
    elif free < LOW_DISK:
        todo = "free disk space: a run stores its parameters four times"
    return Finding.of(name, summary, todo, facts)


def try_lock(path: Path) -> str:
    """Return why a file cannot be locked, "" if it can."""
    try:
        import fcntl
    except ImportError:
        return "not supported by this system"
    try:
        with path.open("rb+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return str(error.strerror)
    return ""


def check_home() -> Finding:
    """Return whether the home folder, which holds compiled functions, is writable."""
    try:
        folder = Path.home()
    except RuntimeError as error:
        return Finding.of("home", f"no home folder ({error})", "set HOME, or NUMBA_CACHE_DIR")
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Finding.of("home", f"{folder} is writable", "", {"path": str(folder)})
    state = "is not writable" if folder.is_dir() else "is not a folder"
    return Finding.of("home", f"{folder} {state}", "set NUMBA_CACHE_DIR to a writable folder")


def check_output_encoding() -> Finding:
    """Return the encoding of standard output."""
    encoding = str(getattr(sys.stdout, "encoding", None) or "unknown")
    is_terminal = False
    with suppress(AttributeError, ValueError, OSError):
        is_terminal = sys.stdout.isatty()
    summary = f"{encoding}, {'terminal' if is_terminal else 'not a terminal'}"
    is_unicode = encoding.lower().replace("-", "") in ("utf8", "utf16", "cp65001")
    todo = "set PYTHONUTF8=1: other characters are printed as \\u....; files are UTF-8"
    facts = {"encoding": encoding, "terminal": is_terminal}
    return Finding.of("output", summary, "" if is_unicode else todo, facts)
