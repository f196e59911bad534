"""Limits of control groups of both versions, and available memory: machine and container."""

import os

import pytest

from mindref.process import cgroups, memory


def tree(root, expected, **files):
    """Create folders of groups, and the membership file of a process."""
    for name, text in files.items():
        path = root.joinpath(*name.split("__"))
        path = path.with_name(path.name.replace("_max", ".max"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").write_text(expected)
    return root, root / "own"


def test_the_lowest_limit_of_the_enclosing_groups_counts(tmp_path):
    root = tree(
        tmp_path, "0::/a/b\n", cpu_max="max 100000\n", a__cpu_max="150000 100000\n",
        a__b__cpu_max="200000 100000\n", a__memory_max="2000000000\n", a__b__memory_max="max\n",
    )  # fmt: skip
    assert cgroups.cgroup_cores(*root) == 1.5
    assert cgroups.cgroup_memory(*root) == 2_000_000_000


def test_cgroups_version_1_has_a_folder_per_controller(tmp_path):
    root = tree(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/x\n1:name=systemd:/x\n")
    (tmp_path / "cpu" / "x").mkdir(parents=True)
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu" / "x" / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu" / "x" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroups.cgroup_cores(*root) == 0.5
    assert cgroups.cgroup_memory(*root) is None
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("512\n")
    assert cgroups.cgroup_memory(*root) == 512


@pytest.mark.parametrize("text", ["max 100000", "0 0", "nonsense", "", "-1 100000"])
def test_unlimited_groups_give_none(tmp_path, text):
    root = tree(tmp_path, "0::/../..\nnonsense\n", cpu_max=text, memory_max=text)
    assert cgroups.cgroup_cores(*root) is None
    assert cgroups.cgroup_memory(*root) is None
    assert cgroups.cgroup_cores(tmp_path / "no", tmp_path / "none") is None


@pytest.mark.rules("security-R7")
def test_the_memory_is_that_of_the_machine_or_of_its_container(monkeypatch):
    assert 1 << 20 < memory.available_memory() < memory.UNKNOWN_MEMORY
    monkeypatch.setattr(cgroups, "cgroup_memory", lambda: 4096)
    assert memory.available_memory() == 4096
    monkeypatch.setattr(cgroups, "cgroup_memory", lambda: None)
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert memory.available_memory() == memory.UNKNOWN_MEMORY
