"""What the doctor says of few cores and of little memory."""

from __future__ import annotations

import pytest

from mindref.doctor import machine


def test_fewer_cores_than_are_there_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setattr(machine, "quota", lambda: 2.5)
    check = machine.cpu()
    assert (check.state, check.facts["granted"]) == ("note", 2.5)
    assert check.found.endswith("of which a cgroup grants 2.5")
    assert check.todo.startswith("--threads 2: ")
    monkeypatch.setattr(machine, "quota", lambda: None)
    assert machine.cpu().state == "ok"


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available", lambda: 8 << 30)
    monkeypatch.setattr(machine, "total", lambda: 16 << 30)
    for limit, state in ((1 << 29, "note"), (4 << 30, "ok"), (None, "ok")):
        monkeypatch.setattr(machine, "bounds", lambda limit=limit: iter([("cgroup", limit)]))
        check = machine.memory()
        assert check.state == state
        assert ("cgroup" in check.found) == (limit is not None)
    monkeypatch.setattr(machine, "available", lambda: 1 << 20)
    assert machine.memory().state == "note"
