"""Resident memory of this process and its peak."""

import numpy as np
import pytest

from mindref.bench import machine
from mindref.process import memory

pytestmark = pytest.mark.slow

MANY = 1 << 26

linux = pytest.mark.skipif(not memory.STATUS_FILE.is_file(), reason="no /proc/self/status here")


@linux
def test_the_peak_includes_freed_memory_until_it_is_reset():
    machine.reset_peak()
    before = memory.resident_memory()
    assert before is not None
    held = np.ones(MANY, np.uint8)
    now = memory.resident_memory()
    assert now is not None
    assert now - before > 0.9 * MANY
    del held
    peak = machine.peak_bytes()
    assert peak is not None
    assert peak - before > 0.9 * MANY
    machine.reset_peak()
    after = machine.peak_bytes()
    assert after is not None
    assert after < peak - 0.9 * MANY


def test_memory_is_unknown_without_a_status_file(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS_FILE", tmp_path / "none")
    monkeypatch.setattr(machine, "PEAK_RESET_FILE", tmp_path / "no" / "such")
    machine.reset_peak()
    assert memory.resident_memory() is None
    peak = machine.peak_bytes()
    assert peak is None or peak > 1 << 20
