"""Faulty backends that differ from the right one in one place, one module for each kind.

Example: mindref conform --backend tests.conformance.independent.faults.sizes:HistoryTail
"""

from tests.conformance.independent.faults import layouts, sizes, slips, threads, time, values
from tests.conformance.independent.faults.catalogue import FAULTS

__all__ = ["FAULTS", "KINDS", "layouts", "sizes", "slips", "threads", "time", "values"]

KINDS = {
    "sizes": "sizes",
    "layouts": "layouts and types",
    "time": "time",
    "values": "values",
    "threads": "threads",
    "slips": "mathematical slips",
}
"""Module of a kind -> name of the kind in the table."""
