"""Test classes that every backend package must pass; each package defines a subclass.

class TestRuns(Runs):
    name = "torch"
"""

import pytest

PARTS = ("exported_towers", "runs", "training", "framework_interface")

pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS))
