"""Versions of the specification, the checks and the protocol.

A report contains these three versions, so that two reports can be compared (`conform --diff`). It
also contains the version of the package that offers the backend.
"""

from __future__ import annotations

from importlib import metadata

from mindref.backend import list_backends

SPEC = "1.1"  # conformance-R17
"""Version of the specification: increases when a rule is added, removed or changed."""

SUITE = "1.1"
"""Version of the checks: increases when a check is added, removed, or becomes stricter."""

PROTOCOL = "1.1"
"""Version of the backend contract and of the report format: specs/backend.md."""


def package_version(name: str) -> str:
    """Return name and version of the backend's package, or "" if no package is installed."""
    if ":" not in name:
        offering = list_backends()[name].dist
        return f"{offering.name} {offering.version}" if offering else ""
    top = name.partition(":")[0].partition(".")[0]
    owners = metadata.packages_distributions().get(top, [])
    return f"{owners[0]} {metadata.version(owners[0])}" if owners else ""
