"""Memory of the machine and limits on this process, checked before libraries run into a limit.

With too little memory OpenBLAS exits with code 1, and the libraries of Numba fail to load or loop
forever. Python code cannot catch either.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mindref.errors import MindrefError, say
from mindref.process import cgroups
from mindref.process.announcements import announce

STATUS_FILE = Path("/proc/self/status")
UNKNOWN_MEMORY = 1 << 62  # bytes, if the system reports nothing
MIN_ADDRESS_SPACE = 800 * 2**20
"""Bytes of address space that Python, NumPy, OpenBLAS and Numba take before any data is loaded."""

ARROW_ADDRESS_SPACE = 2200 * 2**20
"""Bytes of address space that pyarrow needs in addition; with less, it aborts or waits forever."""

PROGRAM_BYTES = 210_000_000
"""Memory of a training without data: Python, the libraries and compiled functions."""

ACCURACY = 1.5
"""The truth is at most this factor above an estimate, and at most this factor below it."""


def check_memory() -> None:
    """Raise MindrefError if `ulimit -v` is too low for mindref to start (faults-R13)."""
    check_address_space(MIN_ADDRESS_SPACE, "memory")


def check_address_space(least: int, location: str) -> None:
    """Raise MindrefError if the limit of the address space is below `least` bytes."""
    limit = address_space_limit()
    if limit is not None and limit < least:  # faults-R13
        expected = f"an address space of at least {least >> 20} MB"
        got, todo = f"a limit of {limit >> 20} MB", "raise it with ulimit -v"
        raise MindrefError(say(location, expected, got, todo))


def warn_if_too_large(work: str, size: int, todo: str) -> None:
    """Announce that work with an estimate of `size` bytes will not fit the memory, or may not."""
    room = usable_memory()
    if size * ACCURACY <= room:
        return
    verb = "will probably not fit" if size > room else "may not fit"  # faults-R20
    sizes = f"it needs about {format_bytes(size)}, and {format_bytes(room)} are available"
    announce(f"memory: {work} {verb}: {sizes}; {todo}", is_warning=True)


def format_bytes(size: int) -> str:
    """Return a size in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def usable_memory() -> int:
    """Return the bytes that this process may use, with those that it uses already."""
    sizes = [available_memory(), address_space_limit()]
    if (free := free_memory()) is not None:
        sizes.append(free + (resident_memory() or 0))
    return min(size for size in sizes if size is not None)


def available_memory() -> int:
    """Return the bytes of memory available to this process, as far as the system reports them."""
    sizes = (UNKNOWN_MEMORY, total_memory(), cgroups.cgroup_memory())
    return min(size for size in sizes if size is not None)


def total_memory() -> int | None:
    """Return the bytes of memory of the machine, None if unknown."""
    with suppress(AttributeError, OSError, ValueError):  # not available on this system
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return size if size > 0 else None  # -1: unknown
    return None


def free_memory() -> int | None:
    """Return the bytes available without swapping, None if unknown."""
    return kilobytes_of(Path("/proc/meminfo"), "MemAvailable:")


def resident_memory() -> int | None:
    """Return the bytes of this process in memory, None if unknown."""
    return kilobytes_of(STATUS_FILE, "VmRSS:")


def kilobytes_of(path: Path, name: str) -> int | None:
    """Return the bytes in the line `name N kB` of a file of the system, None without the line."""
    for line in cgroups.read_lines(path):
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def address_space_limit() -> int | None:
    """Return the address space limit in bytes, None for no limit."""
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if limit == resource.RLIM_INFINITY else limit
    return None
