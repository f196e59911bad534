"""Limits of control groups, on cores and on memory, of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindref.process import cgroups


def tree(root: Path, own: str, **files: str) -> tuple[Path, Path]:
    """Make the folders of groups, and the file that says which of them a process is in."""
    for name, text in files.items():
        path = root.joinpath(*name.split("__"))
        path = path.with_name(path.name.replace("_max", ".max"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").write_text(own)
    return root, root / "own"


def test_the_least_of_all_groups_above_counts(tmp_path: Path) -> None:
    where = tree(
        tmp_path, "0::/a/b\n", cpu_max="max 100000\n", a__cpu_max="150000 100000\n",
        a__b__cpu_max="200000 100000\n", a__memory_max="2000000000\n", a__b__memory_max="max\n",
    )  # fmt: skip
    assert cgroups.quota(*where) == 1.5
    assert cgroups.granted_bytes(*where) == 2_000_000_000


def test_the_first_version_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    where = tree(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/x\n1:name=systemd:/x\n")
    (tmp_path / "cpu" / "x").mkdir(parents=True)
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu" / "x" / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu" / "x" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroups.quota(*where) == 0.5
    assert cgroups.granted_bytes(*where) is None
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("512\n")
    assert cgroups.granted_bytes(*where) == 512


@pytest.mark.parametrize("text", ["max 100000", "0 0", "nonsense", "", "-1 100000"])
def test_what_says_no_limit_is_none(tmp_path: Path, text: str) -> None:
    where = tree(tmp_path, "0::/../..\nnonsense\n", cpu_max=text, memory_max=text)
    assert cgroups.quota(*where) is None
    assert cgroups.granted_bytes(*where) is None
    assert cgroups.quota(tmp_path / "no", tmp_path / "none") is None
