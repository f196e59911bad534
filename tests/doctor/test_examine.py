"""A whole examination: broken parts are reported and stop nothing."""

import pytest

from mindref.doctor import examine
from mindref.doctor.finding import BUG, capture_finding, installation_works
from mindref.doctor.probe_runner import ProbeResult, ProbeRunner


class FixedRunner(ProbeRunner):
    """Returns the same result for every probe."""

    def __init__(self, result):
        super().__init__(1)
        self.result = result

    def run(self, probe, *arguments):
        return self.result


def test_a_failed_check_is_a_note():
    for error in (ZeroDivisionError("no\nway"), SystemExit(3)):

        def check(error=error):
            raise error

        finding = capture_finding("memory", check)
        assert (finding.name, finding.state, finding.todo) == ("memory", "note", BUG)
        assert type(error).__name__ in finding.summary
        assert "\n" not in finding.summary
        assert installation_works([finding])


def test_probes_without_an_answer_are_problems(monkeypatch):
    killed = ProbeResult("killed by SIGILL")
    monkeypatch.setattr(examine, "ProbeRunner", lambda limit: FixedRunner(killed))
    monkeypatch.setitem(examine.LOCAL_CHECKS, "python", lambda: 1 / 0)
    findings = {finding.name: finding for finding in examine.examine()}
    problems = {name for name, finding in findings.items() if finding.state == "problem"}
    assert problems == {"numpy", "scipy", "safetensors", "numba", "kernels", "registered"}
    assert all("killed by SIGILL" in findings[name].summary for name in problems)
    assert findings["python"].todo == BUG
    assert not installation_works([*findings.values()])


@pytest.mark.parametrize("facts", [{}, {"backend": 3, "index": None}, {"backend": [], "new": "x"}])
def test_unexpected_facts_are_a_note(facts, monkeypatch):
    result = ProbeResult("", "listed", facts)
    monkeypatch.setattr(examine, "ProbeRunner", lambda limit: FixedRunner(result))
    findings = {finding.name: finding for finding in examine.examine()}
    assert findings["registered"].todo == BUG
    assert not any(name.startswith(("backend ", "index ", "export ")) for name in findings)


def test_a_broken_built_in_backend_is_a_problem_and_any_other_plugin_a_note():
    failed = FixedRunner(ProbeResult("no"))
    assert examine.check_probe(failed, "backend numba", "backend", "numba").state == "problem"
    assert examine.check_probe(failed, "backend torch", "backend", "torch").state == "note"
    index = examine.check_probe(failed, "index annoy", "index", "annoy")
    assert (index.state, index.todo.partition(";")[0]) == ("note", "exact search is used instead")
    hint = FixedRunner(ProbeResult("no", todo="install it"))
    assert examine.check_probe(hint, "index new", "index", "new").todo == "install it"


def test_the_schema_accepts_valid_findings_only():
    import jsonschema

    validator = jsonschema.Draft202012Validator(examine.report_schema())
    jsonschema.Draft202012Validator.check_schema(examine.report_schema())
    row = {"name": "x", "state": "note", "summary": "y", "todo": "z", "facts": {}}
    report = {"format": examine.FORMAT, "mindref": "1", "works": True, "checks": [row]}
    assert validator.is_valid(report)
    for change in ({"todo": ""}, {"state": "ok"}, {"state": "bad"}, {"more": 1}, {"summary": ""}):
        assert not validator.is_valid({**report, "checks": [{**row, **change}]}), change
