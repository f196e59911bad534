"""mindref doctor: on a machine where all is well, and on one where little is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mindref.cli import doctor
from mindref.doctor import examine
from mindref.doctor.check import Check, note, ok, problem
from tests.cli.conftest import Cli
from tests.doctor.sick import BACKENDS, folder_of
from tests.runs import call

FEW = [ok("python", "CPython 3"), note("index annoy", "wrong", "build it [anew]")]


def test_here_all_that_mindref_needs_is_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli("doctor")
    assert (said.code, said.err) == (0, "")
    rows = dict(line.split(None, 1) for line in said.out.splitlines() if line[:1].strip())
    rows["mindref"] = said.out.splitlines()[1].split(None, 1)[
        1
    ]  # its name is in the last line, too
    for name in ("mindref", "packages", "numpy", "scipy", "numba", "kernels", "registered"):
        assert rows[name].startswith("ok "), rows[name]
    assert "backend numba     ok     ops, model, train; computes on cpu" in said.out
    assert "index annoy       ok     annoy 1." in said.out
    assert "\nmindref works here; notes: " in said.out
    assert "\x1b" not in said.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_broken_is_told_with_its_reason_and_disturbs_nothing_else(tmp_path: Path) -> None:
    """Garbage for annoy, backends that crash, exit and are missing, and no cache."""
    path = folder_of(tmp_path, annoy="garbage")
    (tmp_path / "hangs.py").write_text("import no_such_framework\n")  # a limit takes its time
    home = {"HOME": str(tmp_path / "none"), "PYTHONIOENCODING": "ascii"}
    more = {"PYTHONPATH": path, "MINDREF_NUMBA_CACHE": "0", "MINDREF_TREADS": "2"}
    done = call("doctor", "--json", cwd=tmp_path, **more, **home)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(examine.schema()).validate(found)
    assert found["works"]
    checks = {check["name"]: check for check in found["checks"]}
    expected = {
        "index annoy": "its self-test failed (wrong neighbours)",
        "index lost": "No module named 'missing'",
        "backend hangs": "No module named 'no_such_framework'",
        "backend aborting": "it was ended by SIGABRT",
        "backend leaves": "it said nothing",
        "backend exits": "SystemExit",
        "kernels": "kept nowhere",
        "variables": "MINDREF_TREADS=2",
        "home": "is no folder",
        "output": "ascii, no terminal",
    }
    for name, reason in expected.items():
        assert checks[name]["state"] == "note", checks[name]
        assert reason in checks[name]["found"]
    assert {f"backend {name}" for name in BACKENDS} <= set(checks)
    for name in ("backend numba", "backend numpy", "index faiss-ivf", "numba"):
        assert checks[name]["state"] == "ok", checks[name]


def shown(cli: Cli, monkeypatch: pytest.MonkeyPatch, checks: list[Check], *words: str) -> Any:
    """Return what the command says of these checks, and the limit that it was given."""
    asked: list[float] = []
    monkeypatch.setattr(examine, "examine", lambda limit: asked.append(limit) or checks)
    return cli("doctor", *words), asked[0]


def test_a_problem_fails_and_a_note_does_not(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said, limit = shown(cli, monkeypatch, FEW)
    assert (said.code, limit) == (0, 60)
    assert said.out.endswith("note: index annoy: build it [anew]\nmindref works here; notes: 1\n")
    bad = [*FEW, problem("numba", "SIGILL", "another one")]
    said, limit = shown(cli, monkeypatch, bad, "--limit", "7")
    assert (said.code, limit) == (1, 7)
    assert said.out.endswith("1 problem keeps it from its work; notes: 1\n")
    said, _ = shown(cli, monkeypatch, bad, "--json")
    assert said.code == 1
    assert json.loads(said.out) == examine.as_json(bad)
    assert not json.loads(said.out)["works"]


def test_without_rich_the_lines_are_plain(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.table", None)
    said, _ = shown(cli, monkeypatch, FEW)
    assert said.out.splitlines()[:2] == [
        "python           ok       CPython 3",
        "index annoy      note     wrong",
    ]


def test_the_parent_imports_nothing_that_may_crash() -> None:
    """What a wrong build of NumPy or Numba does, it does to a child."""
    code = (
        "import sys; from mindref.doctor import examine, tried; from mindref.cli import tables;"
        "from mindref.cli.doctor import command;"
        "print([n for n in ('numpy', 'numba', 'scipy', 'annoy', 'faiss') if n in sys.modules])"
    )
    from subprocess import run

    done = run(
        [os.sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,  # type: ignore[attr-defined]
    )
    assert done.stdout == "[]\n"


def test_states_have_colours_of_their_own() -> None:
    assert set(doctor.COLOURS) == {"ok", "note", "problem"}
