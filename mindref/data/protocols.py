"""Names of the protocols that split a log. Importing this module does not import NumPy."""

from __future__ import annotations

NO_SPLIT = "none"
"""The protocol that holds nothing out: all interactions train."""

EVALUATION_PROTOCOLS = ("leave_last_out", "paper", "comirec", "global_time", "last_basket")
"""Protocols with validation and test cases. The default is the first."""

PROTOCOLS = (*EVALUATION_PROTOCOLS, NO_SPLIT)
"""All protocols. `mindref.data.splits` implements them."""
