"""For any damage of a file of a run: the same answer, or an error that names the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.damage.sweep import MAKE, SAID, Found, swept
from tests.runs import REPOSITORY, environment

PLACES = 60  # of each file, at which it is cut short and at which a bit is flipped
QUICK = {"mind": 97, "din": 43, "parts": 7}
"""Folders of which a sample is always tested: name -> one of how many queries."""


def told(wrong: list[Any]) -> str:
    return "\n".join(map(str, wrong))


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.slow(every=3)
def test_a_sample_of_damaged_files_is_same_or_named(name: str, tmp_path: Path) -> None:
    found = list(swept(MAKE[name](tmp_path), tmp_path / "copies", 2, every=QUICK[name]))
    assert len(found) > 8
    assert told([x for x in found if not x.is_right]) == ""
    assert "named" in {x.end for x in found}


def child(name: str, folder: Path, count: int, strange: bool, every: int) -> dict[str, Any]:
    """Sweep in a child process, because a pipe may hang it and a huge file may kill it."""
    words = [name, str(folder), str(count), "strange" if strange else "usual", str(every)]
    command = [sys.executable, "-m", "tests.damage.sweep", *words]
    given: Any = {"cwd": REPOSITORY, "env": environment(), "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, timeout=4000, **given)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_sample_of_files_that_may_hang_or_take_memory(tmp_path: Path) -> None:
    found = child("mind", tmp_path, 1, True, 17)
    assert found["right"] > 5
    assert told(found["wrong"]) == ""


@pytest.mark.parametrize("strange", [False, True], ids=["usual", "strange"])
@pytest.mark.parametrize("name", MAKE)
def test_every_damaged_file_is_same_or_named(
    name: str, strange: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--damage"):
        pytest.skip("takes minutes; run with --damage")
    found = child(name, tmp_path, PLACES, strange, 1)
    print(f"{name}, {'strange' if strange else 'usual'}: {found['right']} right")
    assert found["right"] > 20
    assert told(found["wrong"]) == ""


def test_the_check_of_an_outcome_can_fail() -> None:
    ends = ("same", "named", "ANOTHER ANSWER", "KeyError: 3")
    right = [Found("mind", "items.tsv", "missing", "serve", end).is_right for end in ends]
    assert right == [True, True, False, False]
    for file, harm in SAID:
        assert not Found("mind", file, "a folder", "serve", "ANOTHER ANSWER").is_right, harm
