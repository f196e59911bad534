"""What is installed, and the variables that are read. Nothing is imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import mindref
from mindref.doctor.check import Check, note, ok, problem
from mindref.process.threads import PRODUCTS

CORE = ("numpy", "scipy", "numba", "llvmlite", "annoy", "click", "rich", "safetensors")
EXTRAS = {  # distribution -> the extra that brings it
    "faiss-cpu": "faiss",
    "pyarrow": "parquet",
    "matplotlib": "plot",
    "implicit": "baselines",
    "distributed": "dask",
    "hypothesis": "conformance",
    "pytest": "conformance",
    "mindref-torch": "torch",
    "torch": "torch",
    "mindref-jax": "jax",
    "jax": "jax",
}
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+) *>= *([0-9.]+)$")
OURS = (
    *("MINDREF_THREADS", "MINDREF_NUMBA_CACHE", "MINDREF_TRACEBACK"),
    *("MINDREF_KEY", "MINDREF_DATA"),
)
"""Variables that mindref reads; the last one is that of its tests."""

OTHERS = (*PRODUCTS, "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8")


def itself() -> Check:
    """Return the version of mindref, and where it lies."""
    place = Path(mindref.__file__).resolve().parent
    version = installed("mindref")
    facts = {"version": mindref.__version__, "place": str(place)}
    writable = os.access(place, os.W_OK)
    found = f"{mindref.__version__} in {place}{'' if writable else ', read-only'}"
    if version is None:
        todo = "pip install it: without its metadata no backend and no index is found"
        return problem("mindref", f"{found}, not installed", todo, **facts, read_only=not writable)
    if version != mindref.__version__:
        todo = "pip install it again: names of backends and indexes come from the other version"
        got = f"{found}, while version {version} is installed"
        return note("mindref", got, todo, **facts, read_only=not writable)
    return ok("mindref", found, **facts, read_only=not writable)


def python() -> Check:
    """Return the interpreter and the system."""
    built = platform.python_implementation(), platform.python_version()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    libc = " ".join(platform.libc_ver()).strip()
    found = f"{' '.join(built)} ({sys.executable}) on {system}"
    facts = {"version": built[1], "executable": sys.executable, "system": system, "libc": libc}
    if built[0] != "CPython" or sys.version_info < (3, 11):
        return problem("python", found, "take CPython 3.11 or newer", **facts)
    return ok("python", found + (f", {libc}" if libc else ""), **facts)


def packages() -> Check:
    """Return the versions of what mindref cannot do without."""
    found = {name: installed(name) for name in CORE}
    lowest = dict(required())
    bad = [name for name, version in found.items() if version is None]
    bad += [
        name
        for name, version in found.items()
        if version and name in lowest and numbers(version) < numbers(lowest[name])
    ]
    words = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    if bad:
        wanted = [f"'{name}>={lowest[name]}'" if name in lowest else name for name in bad]
        return problem("packages", words, f"pip install --upgrade {' '.join(wanted)}", **found)
    return ok("packages", words, **found)


def extras() -> Check:
    """Return the versions of what the extras bring, and which of it is not there."""
    found = {name: installed(name) for name in EXTRAS}
    there = [f"{name} {version}" for name, version in found.items() if version]
    absent = [f"{name} (mindref[{EXTRAS[name]}])" for name, version in found.items() if not version]
    words = ", ".join(there) or "none"
    return ok("extras", words + (f"; not there: {', '.join(absent)}" if absent else ""), **found)


def variables() -> Check:
    """Return the variables of the environment that change what mindref does."""
    given = {
        name: value
        for name, value in sorted(os.environ.items())
        if name in OTHERS or name.startswith(("MINDREF_", "NUMBA_"))
    }
    unknown = [name for name in given if name.startswith("MINDREF_") and name not in OURS]
    found = ", ".join(f"{name}={value}" for name, value in given.items()) or "none that matter"
    if unknown:
        todo = f"nothing reads {', '.join(unknown)}; there are {', '.join(OURS)}"
        return note("variables", found, todo, **given)
    if given.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        todo = "unset NUMBA_DISABLE_JIT: nothing is compiled, and all takes some hundred times"
        return note("variables", found, todo, **given)
    return ok("variables", found, **given)


def installed(name: str) -> str | None:
    """Return the version of a distribution, None where it is not there."""
    try:
        version: str | None = metadata.version(name)  # None: metadata that lacks it
    except metadata.PackageNotFoundError:
        return None
    return version or "of no version"


def required() -> list[tuple[str, str]]:
    """Return name and lowest version of what mindref requires, extras left out."""
    try:
        lines = metadata.requires("mindref") or []
    except metadata.PackageNotFoundError:
        return []
    found = [REQUIREMENT.match(line.partition(";")[0].strip()) for line in lines if ";" not in line]
    return [(match[1].lower(), match[2]) for match in found if match]


def numbers(version: str) -> list[int]:
    """Return the leading numbers of a version."""
    match = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in match[0].split(".")] if match else []
