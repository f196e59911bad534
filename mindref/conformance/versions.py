"""Versions of the specification, the checks and the protocol.

A report contains these three versions, so that two reports can be compared (`conform --diff`).
"""

SPEC = "1.0"  # conformance-R17
"""Version of the specification: increases when a rule is added, removed or changed."""

SUITE = "1.0"
"""Version of the checks: increases when a check is added, removed, or becomes stricter."""

PROTOCOL = "1.0"
"""Version of the backend contract and of the report format: specs/backend.md."""
