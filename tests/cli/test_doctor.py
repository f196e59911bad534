"""mindref doctor: on a working machine, and with broken packages."""

import json
from importlib.util import find_spec

import pytest

from mindref.doctor import examine
from mindref.doctor.checks import Finding
from tests.doctor.broken_packages import BACKENDS, install_broken_packages
from tests.runs import call

FINDINGS = [
    Finding("python", "ok", "CPython 3"),
    Finding("index annoy", "note", "wrong", "build it [anew]"),
]


@pytest.mark.slow
def test_this_machine_has_no_problem(cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = cli("doctor")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    rows = dict(line.split(None, 1) for line in lines if line[:1].strip())
    rows["mindref"] = lines[0].split(None, 1)[1]  # the last line starts with the same word
    for name in ("mindref", "packages", "numpy", "numba", "kernels", "registered"):
        assert rows[name].startswith("ok "), rows[name]
    words = " ".join(result.out.split())  # the longest name sets the width of the column
    assert "backend numba ok ops, model, train; computes on cpu" in words
    assert f"index annoy {'ok annoy' if find_spec('annoy') else 'note not usable: '}" in words
    assert "\nmindref works here; notes: " in result.out
    assert "\x1b" not in result.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_broken_packages_are_notes_with_reasons(tmp_path):
    """A wrong annoy, backends that crash, exit or are missing, and no cache."""
    path = install_broken_packages(tmp_path, annoy="garbage")
    (tmp_path / "hangs.py").write_text("import no_such_framework\n")  # a timeout would take long
    variables = {"PYTHONPATH": path, "MINDREF_NUMBA_CACHE": "0", "MINDREF_TREADS": "2"}
    done = call("doctor", "--json", cwd=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["works"]
    checks = {check["name"]: check for check in report["checks"]}
    expected = {
        "index annoy": "its self-test failed (wrong neighbours)",
        "backend missing": "No module named 'missing'",
        "backend hangs": "No module named 'no_such_framework'",
        "kernels": "not cached",
        "variables": "MINDREF_TREADS=2",
    }
    for name, reason in expected.items():
        assert checks[name]["state"] == "note", checks[name]
        assert reason in checks[name]["summary"]
    assert {f"backend {name}" for name in BACKENDS} <= set(checks)
    for name in ("backend numba", "backend numpy", "index faiss-ivf", "numba"):
        assert checks[name]["state"] == "ok", checks[name]


def run_doctor(cli, monkeypatch, findings, *arguments):
    """Return the output of the command for these findings."""
    monkeypatch.setattr(examine, "examine", lambda: findings)
    return cli("doctor", *arguments)


def test_only_a_problem_changes_the_exit_code(cli, monkeypatch):
    result = run_doctor(cli, monkeypatch, FINDINGS)
    assert result.code == 0
    assert result.out.startswith(
        "python            ok      CPython 3\nindex annoy       note    wrong"
    )
    assert result.out.endswith("note: index annoy: build it [anew]\nmindref works here; notes: 1\n")
    bad = [*FINDINGS, Finding("numba", "problem", "SIGILL", "install another")]
    result = run_doctor(cli, monkeypatch, bad)
    assert result.code == 1
    assert result.out.endswith("mindref does not work here; problems: 1; notes: 1\n")
    result = run_doctor(cli, monkeypatch, bad, "--json")
    assert result.code == 1
    assert json.loads(result.out) == examine.report_json(bad)
    assert not json.loads(result.out)["works"]
