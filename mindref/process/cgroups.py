"""What control groups grant this process, as containers and service managers set it; on Linux."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60  # bytes: version 1 of cgroups writes a number of this size for none


def quota(root: Path = GROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the cores that cgroups grant, the least of all groups above; None for no limit."""
    found = []
    for folder in groups(root, own):
        words = " ".join(lines_of(folder / "cpu.max")).split()  # version 2: quota, period
        if not words:  # version 1
            words = [
                *lines_of(folder / "cpu.cfs_quota_us"),
                *lines_of(folder / "cpu.cfs_period_us"),
            ]
        with suppress(ValueError, IndexError, ZeroDivisionError):
            share = float(words[0]) / float(words[1])  # "max" and -1 are none
            found += [share] if share > 0 else []
    return min(found, default=None)


def granted_bytes(root: Path = GROUPS, own: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return the bytes that cgroups grant, the least of all groups above; None for no limit."""
    found = []
    for folder in groups(root, own):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):
                found += [
                    size for line in lines_of(folder / name) if (size := int(line)) < UNLIMITED
                ]
    return min(found, default=None)


def groups(root: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, and of those above them.

    Where that is not told, a container may still see its own group as the first one.
    """
    for line in lines_of(own) or [":cpu:/", ":memory:/", "::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        tops = [root / name for name in controllers.split(",") if name in ("cpu", "memory")]
        tops += [root / controllers] if controllers else [root]
        inner = [part for part in path.split("/") if part not in ("", "..")]
        for top in dict.fromkeys(tops):
            for depth in range(len(inner), -1, -1):
                yield top.joinpath(*inner[:depth])


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file, none of one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
