"""Three versions that change for three reasons.

A judgement names them all, so that two judgements can be told apart (`mindref conform --diff`).
"""

SPEC = "1.0"  # conformance-R17
"""Of the pages: rises when a rule is added, removed or changed."""

SUITE = "1.0"
"""Of the checks: rises when a check is added, removed, or judges more strictly."""

PROTOCOL = "1.0"
"""Of the contract between judge and backend, and of the report: specs/backend.md."""
