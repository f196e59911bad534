"""Resident memory of this process, and its peak.

Linux reports both in /proc/self/status and can reset the peak. On other systems the peak counts
from the start of the process, and the resident memory is unknown.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_bytes() -> int | None:
    """Return the resident bytes of this process, or None if unknown."""
    return read_status("VmRSS")


def peak_bytes() -> int | None:
    """Return the peak bytes since `reset_peak`, or since the start of the process."""
    peak = read_status("VmHWM")
    if peak is not None:
        return peak
    with suppress(ImportError):  # no such module on Windows
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(usage) * (1 if sys.platform == "darwin" else 1024)
    return None


def reset_peak() -> None:
    """Reset the peak to the resident memory, if the system supports it."""
    with suppress(OSError):
        CLEAR.write_text("5", encoding="ascii")


def read_status(name: str) -> int | None:
    """Return an entry of /proc/self/status in bytes; None if it cannot be read."""
    try:
        entry = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"), re.M)
    except (OSError, UnicodeDecodeError):
        return None
    return int(entry[1]) * 1024 if entry else None
