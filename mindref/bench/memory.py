"""What a process holds, and the most that it has held.

Linux keeps both in /proc/self/status and forgets the most when asked; elsewhere the most is that
since the start of the process, and what it holds is not known.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident() -> int | None:
    """Return the bytes of memory that this process holds, or None where that is not known."""
    return status("VmRSS")


def peak() -> int | None:
    """Return the most bytes that this process has held since `forget`, or since its start."""
    found = status("VmHWM")
    if found is not None:
        return found
    with suppress(ImportError):  # no such module on Windows
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(most) * (1 if sys.platform == "darwin" else 1024)
    return None


def forget() -> None:
    """Let `peak` start from what is held now, where the system can."""
    with suppress(OSError):
        CLEAR.write_text("5", encoding="ascii")


def status(name: str) -> int | None:
    """Return a number of kilobytes in the status of the process, in bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"), re.M)
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1]) * 1024 if found else None
