"""Lengths of the lists that are evaluated. Importing this module does not import NumPy."""

from __future__ import annotations

LIST_LENGTHS = (10, 20, 50, 100)
"""n of hit_rate@n and of the other metrics. The paper reports 10, 50 and 100."""
