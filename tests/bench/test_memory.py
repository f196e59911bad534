"""What a process holds, seen from within."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mindref.bench import memory

MANY = 1 << 26

linux = pytest.mark.skipif(not memory.STATUS.is_file(), reason="no /proc/self/status here")


@linux
def test_the_peak_remembers_what_is_held_no_more_until_it_is_told_to_forget() -> None:
    memory.forget()
    before = memory.resident()
    assert before is not None
    held = np.ones(MANY, np.uint8)
    now = memory.resident()
    assert now is not None
    assert now - before > 0.9 * MANY
    del held
    peak = memory.peak()
    assert peak is not None
    assert peak - before > 0.9 * MANY
    memory.forget()
    after = memory.peak()
    assert after is not None
    assert after < peak - 0.9 * MANY


def test_where_there_is_no_status_little_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "no" / "such")
    memory.forget()
    assert memory.resident() is None
    peak = memory.peak()
    assert peak is None or peak > 1 << 20
