"""Tests that every package of a backend passes: a class each, for it to name itself in.

class TestRuns(Runs):
    name = "torch"
"""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in ("runs", "training", "thin")))
