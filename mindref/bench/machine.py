"""Facts of the machine and of what is installed, for the report."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from mindref.process import memory
from mindref.process.threads import cores

INSTRUCTIONS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_OPT",
    "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "XLA_FLAGS",
)
"""Variables by which BLAS, Numba, NumPy and frameworks are told which instructions to use."""
PACKAGES = ("mindref", "numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, system, and how busy the machine is (load average).

    And the variables by which libraries were told other instructions than they would choose.
    """
    return {
        "cpu": processor(),
        "cores": cores(),
        "memory_bytes": memory.total(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "instructions": {name: os.environ[name] for name in INSTRUCTIONS if os.environ.get(name)},
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
    """Return what is installed, and the BLAS of NumPy and of SciPy; nothing is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, key in (("numpy", "blas"), ("scipy", "blas_of_scipy")):  # kernels have the second
        if name in sys.modules:
            blas = sys.modules[name].show_config(mode="dicts")["Build Dependencies"]["blas"]
            found[key] = f"{blas.get('name', '?')} {blas.get('version', '?')}"
    return found
