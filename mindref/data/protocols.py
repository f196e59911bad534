"""Names of the protocols that split a log. Importing this module does not import NumPy."""

from __future__ import annotations

PROTOCOLS = ("leave_last_out", "paper", "comirec", "global_time")
"""The default is the first. `mindref.data.splits` implements them."""
