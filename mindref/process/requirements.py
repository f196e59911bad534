"""The requirements in the metadata of mindref, and the commands that install them.

All hints to install something have commands from this module. No hint names a distribution that
the authors have not published: whoever registers a free name runs code on the machine of each
reader of the hint.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

UNPUBLISHED = ("mindref", "mindref-torch", "mindref-jax")
"""The distributions of this repository. They are installed from a checkout."""

COMPILED = {"annoy": "pip install annoy, which needs a C++ compiler on this Python"}
"""Extra -> how to install its library on a version of Python for which no wheel exists."""


def read_requirements(extra: str = "") -> list[Requirement]:
    """Return the libraries that mindref, or one of its extras, needs on this Python.

    The result is empty if mindref has no metadata, or if packaging is missing.
    """
    try:
        from packaging.requirements import Requirement

        lines = metadata.requires("mindref") or []
    except (metadata.PackageNotFoundError, ImportError):
        return []

    def applies(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

    return [
        x
        for x in map(Requirement, lines)
        if x.name not in UNPUBLISHED and applies(x, extra) and (not extra or not applies(x, ""))
    ]


def install_extra(extra: str, package: str = "mindref") -> str:
    """Return the command that installs the libraries of an extra of mindref or another package."""
    if package not in UNPUBLISHED:
        return f"pip install '{package}[{extra}]'"
    libraries = [f"'{x.name}{x.specifier}'" for x in read_requirements(extra)]
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
