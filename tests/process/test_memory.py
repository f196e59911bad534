"""Memory: what this process may use, and the warning before work that may not fit."""

import pytest

from mindref.errors import MindrefError
from mindref.process import memory
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
