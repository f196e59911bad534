"""Memory and cores of this process, limits of control groups, and the warning before large work."""

import os

import pytest

from mindref.errors import MindrefError
from mindref.process import cgroups, memory
from mindref.process.announcements import listen


def warnings_of(size, room, monkeypatch):
    """Return the lines for work of a size in this room."""
    lines = []
    monkeypatch.setattr(memory, "usable_memory", lambda: room)
    with listen(lines.append):
        memory.warn_if_too_large("the work", size, "do less")
    return lines


@pytest.mark.rules("faults-R20")
@pytest.mark.parametrize(
    ("size", "verb"),
    [(1500, "will probably not fit"), (1001, "will probably not fit"), (1000, "may not fit"),
     (667, "may not fit"), (666, ""), (1, "")],
)  # fmt: skip
def test_work_that_may_not_fit_is_announced(size, verb, monkeypatch):
    lines = warnings_of(size * 10**6, 1000 * 10**6, monkeypatch)
    assert len(lines) == bool(verb)
    if verb:
        assert lines[0].startswith(f"Warning: memory: the work {verb}: it needs about ")
        assert lines[0].endswith("and 1.0 GB are available; do less")


@pytest.mark.rules("faults-R20")
def test_the_logger_receives_the_line(monkeypatch, caplog):
    warnings_of(2, 1, monkeypatch)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_smallest_limit_counts(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 8000)
    monkeypatch.setattr(memory, "resident_memory", lambda: 100)
    for limit, free, expected in ((None, None, 8000), (500, None, 500), (None, 300, 400)):
        monkeypatch.setattr(memory, "address_space_limit", lambda limit=limit: limit)
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        assert memory.usable_memory() == expected


def test_the_numbers_of_this_process_are_plausible():
    assert memory.resident_memory() > 1 << 20
    assert memory.usable_memory() > memory.resident_memory()
    assert [memory.format_bytes(x) for x in (0, 999_400_000, 2_000_000_000)] == [
        "0 MB", "999 MB", "2.0 GB",
    ]  # fmt: skip


@pytest.mark.rules("faults-R13")
def test_too_little_address_space_is_an_error(monkeypatch):
    monkeypatch.setattr(memory, "address_space_limit", lambda: 500 << 20)
    memory.check_address_space(500 << 20, "here")
    with pytest.raises(MindrefError, match="here: expected an address space of at"):
        memory.check_address_space((500 << 20) + 1, "here")
    with pytest.raises(MindrefError, match="raise it with ulimit -v"):
        memory.check_memory()


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
