"""Available memory: of the machine and of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mindref.process import cgroups, memory


@pytest.mark.rules("security-R7")
def test_the_memory_of_this_machine_is_reported() -> None:
    assert 1 << 20 < memory.available_memory() < memory.UNKNOWN_MEMORY


@pytest.mark.rules("security-R7")
@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize("physical", [True, False])
def test_container_limits_count_in_both_cgroup_versions(
    version: int, physical: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tmp_path / "own"
    expected.write_text("0::/\n" if version == 2 else "4:memory:/\n")
    name = "memory.max" if version == 2 else "memory/memory.limit_in_bytes"
    (tmp_path / "memory").mkdir()
    granted = cgroups.cgroup_memory
    monkeypatch.setattr(cgroups, "cgroup_memory", lambda: granted(tmp_path, expected))
    if not physical:  # as on Windows
        monkeypatch.delattr(os, "sysconf", raising=False)
    without = memory.available_memory()
    assert (without == memory.UNKNOWN_MEMORY) is not physical
    (tmp_path / name).write_text("4096\n")
    assert memory.available_memory() == 4096
    (tmp_path / name).write_text("max\n" if version == 2 else f"{(1 << 63) - 4096}\n")
    assert memory.available_memory() == without
