"""The whole of it: what is broken is said, and nothing that is broken stops it."""

from __future__ import annotations

from typing import Any

import pytest

from mindref.doctor import examine, installed, tried
from mindref.doctor.check import BUG, Check, guarded, works
from mindref.doctor.child import Nurse, Told


class Silent(Nurse):
    """Nothing can be tried, or all says the same."""

    def __init__(self, told: Told) -> None:
        super().__init__(1)
        self.told = told

    def ask(self, trial: str, *words: str) -> Told:
        return self.told


def test_a_check_that_fails_is_said_to_and_decides_nothing() -> None:
    for error in (ZeroDivisionError("no\nway"), SystemExit(3)):

        def look(error: BaseException = error) -> Check:
            raise error

        check = guarded("memory", look)
        assert (check.name, check.state, check.todo) == ("memory", "note", BUG)
        assert type(error).__name__ in check.found
        assert "\n" not in check.found
        assert works([check])


def test_where_no_child_answers_all_is_said_and_nothing_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examine, "Nurse", lambda limit: Silent(Told({}, "it was ended by SIGILL")))
    monkeypatch.setattr(installed, "python", lambda: 1 / 0)
    checks = {check.name: check for check in examine.examine()}
    lost = {name for name, check in checks.items() if check.state == "problem"}
    assert lost == {"numpy", "scipy", "safetensors", "numba", "kernels", "registered"}
    assert all("it was ended by SIGILL" in checks[name].found for name in lost)
    assert checks["python"].todo == BUG
    assert not works([*checks.values()])


@pytest.mark.parametrize(
    "facts", [{}, {"backend": 3, "index": None}, {"backend": [], "new": ["x"]}]
)
def test_an_answer_of_another_kind_is_no_reason_to_raise(facts: dict[str, Any]) -> None:
    nurse = Silent(Told(facts))
    check, looks = examine.listing(nurse)
    assert (check.name, check.todo, looks) == ("registered", BUG, {})
    for look in (tried.numpy, tried.numba, tried.kernels):
        assert guarded("x", lambda look=look: look(nurse)).todo == BUG  # type: ignore[misc]


def test_a_built_in_backend_that_is_missing_or_broken_is_a_problem() -> None:
    listed = {"backend": ["numpy"], "index": [], "export": []}
    check, _ = tried.registered(Silent(Told(listed)))
    assert check.state == "problem"
    assert "the built-in numba lacks its entry point" in check.found
    bad = Silent(Told({}, "no"))
    assert tried.backend(bad, "numba").state == "problem"
    assert tried.backend(bad, "torch").state == "note"
    assert tried.index(bad, "annoy").state == "note"
    assert "mindref[faiss]" in tried.index(bad, "faiss-ivf").todo


def test_every_state_is_of_the_form_and_others_are_not() -> None:
    import jsonschema

    judge = jsonschema.Draft202012Validator(examine.schema())
    jsonschema.Draft202012Validator.check_schema(examine.schema())
    row = {"name": "x", "state": "note", "found": "y", "todo": "z", "facts": {}}
    whole = {"format": examine.FORMAT, "mindref": "1", "works": True, "checks": [row]}
    assert judge.is_valid(whole)
    for change in ({"todo": ""}, {"state": "ok"}, {"state": "bad"}, {"more": 1}, {"found": ""}):
        assert not judge.is_valid({**whole, "checks": [{**row, **change}]}), change
