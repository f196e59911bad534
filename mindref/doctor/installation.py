"""Versions of mindref, Python and packages, and environment variables. Nothing is imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import mindref
from mindref.doctor.finding import Finding
from mindref.process.threads import BLAS_THREAD_VARIABLES

CORE = ("numpy", "scipy", "numba", "llvmlite", "annoy", "click", "rich", "safetensors")
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+) *>= *([0-9.]+)$")
EXTRA = re.compile(r"""^([A-Za-z0-9._-]+)[^;]*;.*extra *== *["']([^"']+)["']""")
FRAMEWORKS = {"torch": "torch", "jax": "jax"}  # dependencies of the backends with these names
MINDREF_VARIABLES = (
    "MINDREF_THREADS",
    "MINDREF_NUMBA_CACHE",
    "MINDREF_TRACEBACK",
    "MINDREF_KEY",
    "MINDREF_DATA",
)
"""Variables that mindref reads; the last one is read by its tests."""

OTHER_VARIABLES = (
    *BLAS_THREAD_VARIABLES,
    *("PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8"),
)


def check_mindref() -> Finding:
    """Return version and location of mindref."""
    folder = Path(mindref.__file__).resolve().parent
    version, read_only = installed_version("mindref"), not os.access(folder, os.W_OK)
    facts = {"version": mindref.__version__, "place": str(folder), "read_only": read_only}
    summary = f"{mindref.__version__} in {folder}{', read-only' if read_only else ''}"
    if version is None:
        todo = "pip install it: backends and indexes are found by its metadata"
        return Finding.problem("mindref", f"{summary}, not installed", todo, **facts)
    if version != mindref.__version__:
        todo = "pip install it again: backends and indexes are found by the metadata"
        summary = f"{summary}, but the installed metadata is of version {version}"
        return Finding.note("mindref", summary, todo, **facts)
    return Finding.ok("mindref", summary, **facts)


def check_python() -> Finding:
    """Return the interpreter and the system."""
    name, version = platform.python_implementation(), platform.python_version()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    libc = " ".join(platform.libc_ver()).strip()
    summary = f"{name} {version} ({sys.executable}) on {system}"
    facts = {"version": version, "executable": sys.executable, "system": system, "libc": libc}
    if name != "CPython" or sys.version_info < (3, 11):
        return Finding.problem("python", summary, "use CPython 3.11 or newer", **facts)
    return Finding.ok("python", summary + (f", {libc}" if libc else ""), **facts)


def check_packages() -> Finding:
    """Return the versions of the required packages."""
    versions = {name: installed_version(name) for name in CORE}
    lowest = dict(required_versions())
    bad = [name for name, version in versions.items() if version is None]
    bad += [
        name
        for name, version in versions.items()
        if version and name in lowest and version_numbers(version) < version_numbers(lowest[name])
    ]
    summary = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    if bad:
        needed = [f"'{name}>={lowest[name]}'" if name in lowest else name for name in bad]
        todo = f"pip install --upgrade {' '.join(needed)}"
        return Finding.problem("packages", summary, todo, **versions)
    return Finding.ok("packages", summary, **versions)


def check_extras() -> Finding:
    """Return the versions of optional packages, and the extras that install the missing ones."""
    extras = optional_packages()
    versions = {name: installed_version(name) for name in extras}
    available = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [f"{name} (mindref[{extras[name]}])" for name, x in versions.items() if not x]
    summary = ", ".join(available) or "none"
    summary += f"; not installed: {', '.join(missing)}" if missing else ""
    return Finding.ok("extras", summary, **versions)


def check_variables() -> Finding:
    """Return the environment variables that affect mindref."""
    values = {
        name: value
        for name, value in sorted(os.environ.items())
        if name in OTHER_VARIABLES or name.startswith(("MINDREF_", "NUMBA_"))
    }
    read_variables = MINDREF_VARIABLES
    unknown = [
        name for name in values if name.startswith("MINDREF_") and name not in read_variables
    ]
    summary = ", ".join(f"{name}={value}" for name, value in values.items()) or "none"
    if unknown:
        todo = f"mindref does not read {', '.join(unknown)}, only {', '.join(read_variables)}"
        return Finding.note("variables", summary, todo, **values)
    if values.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        todo = "unset NUMBA_DISABLE_JIT: without compilation everything is about 100 times slower"
        return Finding.note("variables", summary, todo, **values)
    return Finding.ok("variables", summary, **values)


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, None if it is not installed."""
    try:
        version: str | None = metadata.version(name)  # None: metadata without a version
    except metadata.PackageNotFoundError:
        return None
    return version or "unknown"


def mindref_requirements() -> list[str]:
    """Return the requirements in mindref's metadata."""
    try:
        return metadata.requires("mindref") or []
    except metadata.PackageNotFoundError:
        return []


def required_versions() -> list[tuple[str, str]]:
    """Return name and lowest version of the required packages."""
    lines = [line for line in mindref_requirements() if ";" not in line]
    matches = [REQUIREMENT.match(line.strip()) for line in lines]
    return [(match[1].lower(), match[2]) for match in matches if match]


def optional_packages() -> dict[str, str]:
    """Return package -> extra that installs it, from mindref's metadata."""
    matches = [EXTRA.match(line) for line in mindref_requirements()]
    packages = {match[1]: match[2] for match in matches if match and match[2] != "test"}
    return {**packages, **FRAMEWORKS}


def version_numbers(version: str) -> list[int]:
    """Return the leading numbers of a version."""
    match = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in match[0].split(".")] if match else []
