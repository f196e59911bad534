"""Facts about the machine, the installed packages and the memory of this process.

Linux reports resident memory and its peak in /proc/self/status and can reset the peak. On other
systems the peak counts from the start of the process, and the resident memory is unknown.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from mindref.process import memory
from mindref.process.threads import usable_cores

INSTRUCTION_VARIABLES = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS", "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES", "NUMBA_OPT", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS",
)  # fmt: skip
"""Variables that select the instructions of BLAS, Numba, NumPy and the frameworks."""
PEAK_RESET_FILE = Path("/proc/self/clear_refs")
PACKAGES = ("mindref", "numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, memory, system, load average, and instruction variables."""
    variables = {name: os.environ[name] for name in INSTRUCTION_VARIABLES if os.environ.get(name)}
    return {
        "cpu": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": memory.total_memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "instructions": variables,
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return model[1].strip() if model else platform.processor() or platform.machine()


def installed_versions() -> dict[str, str]:
    """Return package versions, and the BLAS of NumPy and SciPy if they are already imported."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, key in (("numpy", "blas"), ("scipy", "blas_of_scipy")):  # kernels use SciPy's
        if name in sys.modules:
            blas = sys.modules[name].show_config(mode="dicts")["Build Dependencies"]["blas"]
            versions[key] = f"{blas.get('name', '?')} {blas.get('version', '?')}"
    return versions


def peak_bytes() -> int | None:
    """Return the peak bytes since `reset_peak`, or since the start of the process."""
    peak = memory.kilobytes_of(memory.STATUS_FILE, "VmHWM:")
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
        PEAK_RESET_FILE.write_text("5", encoding="ascii")
