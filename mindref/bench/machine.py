"""Facts of the machine and of what is installed, for the report."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from mindref import memory
from mindref.threads import cores

PACKAGES = ("mindref", "numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, system, and how busy the machine is (load average)."""
    return {
        "cpu": processor(),
        "cores": cores(),
        "memory_bytes": memory.total(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return what is installed, and the BLAS that NumPy was built with; nothing is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "numpy" in sys.modules:
        blas = sys.modules["numpy"].show_config(mode="dicts")["Build Dependencies"]["blas"]
        found["blas"] = f"{blas.get('name', '?')} {blas.get('version', '?')}"
    return found
