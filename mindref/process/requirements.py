"""The requirements in the metadata of mindref, and the commands that install them.

All hints to install something have commands from this module. No hint names a distribution that
the authors have not published: whoever registers a free name runs code on the machine of each
reader of the hint.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import metadata
from typing import NamedTuple

UNPUBLISHED = ("mindref", "mindref-torch", "mindref-jax")
"""The distributions of this repository. They are installed from a checkout."""

LINE = re.compile(r"([A-Za-z0-9._-]+)(\[[^]]*\])? *\(?([^;)]*)\)? *(?:;(.*))?")
PYTHON_BELOW = re.compile(r"""python_version *< *["'](\d+)\.(\d+)["']""")
OF_EXTRA = re.compile(r"""extra *== *["']([^"']+)["']""")

COMPILED = {"annoy": "pip install annoy, which needs a C++ compiler on this Python"}
"""Extra -> how to install its library on a version of Python for which no wheel exists."""


class Requirement(NamedTuple):
    """A library that mindref needs, or that one of its extras needs."""

    name: str
    version: str  # for example >=1.26
    extra: str  # "" for a library that is always needed


def read_requirements() -> list[Requirement]:
    """Return the requirements that apply to this Python; [] if mindref has no metadata."""
    lines: list[str] = []
    with suppress(metadata.PackageNotFoundError):
        lines = metadata.requires("mindref") or []
    requirements = []
    for line in lines:
        match = LINE.fullmatch(line)
        if not match or match[1] in UNPUBLISHED:
            continue
        extra, below = OF_EXTRA.search(match[4] or ""), PYTHON_BELOW.search(match[4] or "")
        if below is None or sys.version_info < (int(below[1]), int(below[2])):
            requirements.append(Requirement(match[1], match[3].strip(), extra[1] if extra else ""))
    return requirements


def install_extra(extra: str, package: str = "mindref") -> str:
    """Return the command that installs the libraries of an extra of mindref or another package."""
    if package not in UNPUBLISHED:
        return f"pip install '{package}[{extra}]'"
    libraries = [f"'{x.name}{x.version}'" for x in read_requirements() if x.extra == extra]
    if libraries:
        return f"pip install {' '.join(libraries)}"
    return COMPILED.get(extra, f"in a checkout of mindref: pip install '.[{extra}]'")


def install_libraries(*libraries: str, upgrade: bool = False) -> str:
    """Return the command that installs libraries, given as `name` or `name>=version`."""
    words = [f"'{x}'" if ">=" in x else x for x in libraries]
    return " ".join(["pip install", *["--upgrade"] * upgrade, *words])


def reinstall_libraries(*names: str) -> str:
    """Return the command that downloads and installs libraries again."""
    return f"pip install --force-reinstall --no-cache-dir {' '.join(names)}"


def compile_library(name: str, *removed: str) -> str:
    """Return the commands that remove distributions of a library and compile the library."""
    compiled = f"CXX=g++ pip install --no-cache-dir --no-binary {name} {name}"
    return f"pip uninstall {' '.join((*removed, name))}, then {compiled}"


INSTALL_MINDREF = "in a checkout of mindref: pip install ."
REINSTALL_MINDREF = f"in a checkout of mindref: {reinstall_libraries('.')}"


def install_backend(folder: str) -> str:
    """Return the command that installs a package of backends/, for example `torch`."""
    return f"in a checkout of mindref: pip install . './backends/{folder}'"
