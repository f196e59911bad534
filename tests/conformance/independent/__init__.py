"""A right implementation, and faults of it, written from the specification, by an author who had
not seen the checks.

The implementation shares no arithmetic with the reference. Each fault of `faults` replaces one
small method. The table of the faults in specs/coverage.md says which of them the suite kills:
python -m tests.conformance.independent --write.
"""
