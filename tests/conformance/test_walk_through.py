"""The walk-through on the page: the first try fails as quoted, and passes once corrected."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import spec_pages

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
COMMAND = "conform --backend {module}:Mine --profile smoke routing"
CUT = "..."


def block(kind: str) -> str:
    found = re.search(rf"^```\w+ {kind}\n(.*?)^```$", spec_pages.text("backend"), re.M | re.S)
    assert found, f"specs/backend.md has no block {kind}"
    return found[1]


def corrected() -> str:
    """Return the first try with the wrong function replaced by the corrected one."""
    text, right = block("first-try"), block("corrected")
    name = right.partition("(")[0]
    wrong = re.search(rf"^{re.escape(name)}\(.*?\n(?=\n)", text, re.M | re.S)
    assert wrong, f"the first try has no {name}"
    assert wrong[0] != right
    return text.replace(wrong[0], right)


def conform(folder: Path, module: str, text: str) -> tuple[int, str]:
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mindref", *COMMAND.format(module=module).split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def plain(line: str) -> str:
    """Return a line without digits that depend on the order of summation."""
    return NUMBER.sub("#", line) if " is " in line and "±" in line else line


def quoted(kind: str, output: str) -> None:
    """Require that every quoted line occurs in the output, in order, with gaps only at dots."""
    lines = [plain(line.strip()) for line in output.splitlines()]
    place, gap = 0, True
    for line in (plain(line.strip()) for line in block(kind).splitlines()):
        if line == CUT:
            gap = True
            continue
        found = lines.index(line, place) if gap else place
        assert lines[found] == line
        place, gap = found + 1, False


def test_the_page_states_the_command() -> None:
    assert f"`mindref {COMMAND.format(module='mytorch')}`" in spec_pages.text("backend")


def test_the_first_try_is_short() -> None:
    assert sum(bool(line.strip()) for line in block("first-try").splitlines()) < 60


def test_the_first_try_fails_as_the_page_quotes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code, output = conform(tmp_path, "mytorch", block("first-try"))
    assert code == 1
    quoted("first-report", output)


def test_the_corrected_backend_conforms_as_the_page_quotes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code, output = conform(tmp_path, "mytorch", corrected())
    assert code == 0
    quoted("second-report", output)
