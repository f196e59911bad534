"""The processor, the cores and the memory of this process, and who limits them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mindref.bench.machine import processor
from mindref.doctor.check import Check, note, ok, problem
from mindref.process.cgroups import granted_bytes, lines_of, quota
from mindref.process.memory import LEAST, total
from mindref.process.threads import cores

ROOM = 1 << 30  # bytes; the built-in catalogue trains in less


def cpu() -> Check:
    """Return the processor, the cores that this process may use, and the share that is granted."""
    every, usable, granted = os.cpu_count() or 1, cores(), quota()
    facts = {"model": processor(), "cores": every, "usable": usable, "granted": granted}
    found = f"{processor()}, {usable} of {every} cores for this process"
    if granted is not None and granted < usable:
        fewer = max(1, math.floor(granted))
        todo = f"--threads {fewer}: more threads than are granted wait for one another"
        return note("processor", f"{found}, of which a cgroup grants {granted:g}", todo, **facts)
    return ok("processor", found, **facts)


def memory() -> Check:
    """Return the memory there is, and the least of the limits on it."""
    every, free = total(), available()
    limits = {name: size for name, size in bounds() if size is not None}
    least = min([size for size in (every, *limits.values()) if size is not None], default=None)
    facts = {"total": every, "available": free, "limits": limits}
    found = f"{gigabytes(every)}, {gigabytes(free)} of it available"
    for name, size in limits.items():
        found += f", {name} {gigabytes(size)}"
    space = limits.get("RLIMIT_AS")
    if space is not None and space < LEAST:  # faults-R13
        return problem("memory", found, "raise it with ulimit -v: no command begins", **facts)
    if (least is not None and least < ROOM) or (free is not None and free < ROOM):
        todo = "less than 1 GB: lower --batch, --negatives and --window, or raise the limit"
        return note("memory", found, todo, **facts)
    return ok("memory", found, **facts)


def bounds() -> Iterator[tuple[str, int | None]]:
    """Yield the limits on memory by their names, None for none."""
    yield "cgroup", granted_bytes()
    with suppress(ImportError):
        import resource

        for name in ("RLIMIT_AS", "RLIMIT_DATA"):
            soft = resource.getrlimit(getattr(resource, name))[0]
            yield name, None if soft == resource.RLIM_INFINITY else soft


def available() -> int | None:
    """Return the bytes that can be had without swapping, None where that is not known."""
    for line in lines_of(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def gigabytes(size: int | None) -> str:
    """Return a size in words."""
    return "an unknown size" if size is None else f"{size / 1e9:.1f} GB"
