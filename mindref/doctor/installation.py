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

PYTHON_VARIABLES = ("PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8")
OTHER_VARIABLES = (*BLAS_THREAD_VARIABLES, *PYTHON_VARIABLES)


def check_mindref() -> Finding:
    """Return version and location of mindref."""
    folder = Path(mindref.__file__).resolve().parent
    version, read_only = installed_version("mindref"), not os.access(folder, os.W_OK)
    facts = {"version": mindref.__version__, "place": str(folder), "read_only": read_only}
    summary, todo = f"{mindref.__version__} in {folder}{', read-only' if read_only else ''}", ""
    if version is None:
        summary += ", not installed"
        todo = "pip install it: backends and indexes are found by its metadata"
    elif version != mindref.__version__:
        summary += f", but the installed metadata is of version {version}"
        todo = "pip install it again: backends and indexes are found by the metadata"
    return Finding.of("mindref", summary, todo, facts, problem=version is None)


def check_python() -> Finding:
    """Return the interpreter and the system."""
    name, version = platform.python_implementation(), platform.python_version()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    libc = " ".join(platform.libc_ver()).strip()
    facts = {"version": version, "executable": sys.executable, "system": system, "libc": libc}
    summary = f"{name} {version} ({sys.executable}) on {', '.join(filter(None, (system, libc)))}"
    if name != "CPython" or sys.version_info < (3, 11):
        return Finding.of("python", summary, "use CPython 3.11 or newer", facts, problem=True)
    return Finding.of("python", summary, "", facts)


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
    needed = [f"'{name}>={lowest[name]}'" if name in lowest else name for name in bad]
    summary = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    todo = f"pip install --upgrade {' '.join(needed)}" if bad else ""
    return Finding.of("packages", summary, todo, versions, problem=bool(bad))


def check_extras() -> Finding:
    """Return the versions of optional packages, and the extras that install the missing ones."""
    extras = optional_packages()
    versions = {name: installed_version(name) for name in extras}
    available = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [f"{name} (mindref[{extras[name]}])" for name, x in versions.items() if not x]
    summary = ", ".join(available) or "none"
    summary += f"; not installed: {', '.join(missing)}" if missing else ""
    return Finding.of("extras", summary, "", versions)


def check_variables() -> Finding:
    """Return the environment variables that affect mindref."""
    values = {
        name: value
        for name, value in sorted(os.environ.items())
        if name in OTHER_VARIABLES or name.startswith(("MINDREF_", "NUMBA_"))
    }
    unknown = [name for name in values if name.startswith("MINDREF_")]
    unknown = [name for name in unknown if name not in MINDREF_VARIABLES]
    summary, todo = ", ".join(f"{name}={x}" for name, x in values.items()) or "none", ""
    if unknown:
        todo = f"mindref does not read {', '.join(unknown)}, only {', '.join(MINDREF_VARIABLES)}"
    elif values.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        todo = "unset NUMBA_DISABLE_JIT: without compilation everything is about 100 times slower"
    return Finding.of("variables", summary, todo, values)


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, None if it is not installed."""
    try:
        version: str | None = metadata.version(name)  # None: metadata without a version
    except metadata.PackageNotFoundError:
        return None
    return version or "unknown"


def mindref_requirements(pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return the matches of a pattern with the requirements in mindref's metadata."""
    try:
        lines = metadata.requires("mindref") or []
    except metadata.PackageNotFoundError:
        return []
    return [match for match in map(pattern.match, lines) if match]


def required_versions() -> list[tuple[str, str]]:
    """Return name and lowest version of the required packages."""
    return [(match[1].lower(), match[2]) for match in mindref_requirements(REQUIREMENT)]


def optional_packages() -> dict[str, str]:
    """Return package -> extra that installs it, from mindref's metadata."""
    matches = mindref_requirements(EXTRA)
    return {match[1]: match[2] for match in matches if match[2] != "test"} | FRAMEWORKS


def version_numbers(version: str) -> list[int]:
    """Return the leading numbers of a version."""
    match = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in match[0].split(".")] if match else []
