"""The memory that this process may have: of the machine, and of its container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mindref.process import cgroups, memory


@pytest.mark.rules("security-R7")
def test_the_memory_of_this_machine_is_known() -> None:
    assert 1 << 20 < memory.room() < memory.MOST


@pytest.mark.rules("security-R7")
@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize("physical", [True, False])
def test_the_memory_of_a_container_counts_in_both_versions(
    version: int, physical: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n" if version == 2 else "4:memory:/\n")
    name = "memory.max" if version == 2 else "memory/memory.limit_in_bytes"
    (tmp_path / "memory").mkdir()
    granted = cgroups.granted_bytes
    monkeypatch.setattr(cgroups, "granted_bytes", lambda: granted(tmp_path, own))
    if not physical:  # as on Windows
        monkeypatch.delattr(os, "sysconf", raising=False)
    without = memory.room()
    assert (without == memory.MOST) is not physical
    (tmp_path / name).write_text("4096\n")
    assert memory.room() == 4096
    (tmp_path / name).write_text("max\n" if version == 2 else f"{(1 << 63) - 4096}\n")
    assert memory.room() == without
