"""CPU and memory limits of Linux control groups, as set by containers and service managers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60  # bytes: cgroups version 1 writes a number of this size for "no limit"


def cgroup_cores(
    root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")
) -> float | None:
    """Return the CPU limit in cores, the minimum over all enclosing groups; None for no limit."""
    limits = []
    for folder in cgroup_folders(root, membership):
        fields = " ".join(read_lines(folder / "cpu.max")).split()  # version 2: quota, period
        if not fields:  # version 1
            quota_file, period_file = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
            fields = [*read_lines(quota_file), *read_lines(period_file)]
        with suppress(ValueError, IndexError, ZeroDivisionError):
            limit = float(fields[0]) / float(fields[1])  # "max" and -1 mean no limit
            limits += [limit] if limit > 0 else []
    return min(limits, default=None)


def cgroup_memory(
    root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Return the memory limit in bytes, the minimum over all enclosing groups; None: no limit."""
    limits = []
    for folder in cgroup_folders(root, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):
                limits += [int(line) for line in read_lines(folder / name)]
    return min((limit for limit in limits if limit < UNLIMITED), default=None)


def cgroup_folders(root: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of the groups of this process and of all enclosing groups.

    If the membership file is missing, assume the root group. A container may see its group there.
    """
    for line in read_lines(membership) or [":cpu:/", ":memory:/", "::/"]:
        controllers, _, path = line.partition(":")[2].partition(":")
        tops = [root / name for name in controllers.split(",") if name in ("cpu", "memory")]
        tops += [root / controllers] if controllers else [root]
        inner = [part for part in path.split("/") if part not in ("", "..")]
        for top in dict.fromkeys(tops):
            for depth in range(len(inner), -1, -1):
                yield top.joinpath(*inner[:depth])


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; an empty list if the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
