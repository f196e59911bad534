"""The backend that stands on the page as an example is a backend, and small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

BLOCK = re.compile(r"^```python worked-backend\n(?P<body>.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user, with nothing in it but the file from the page."""
    found = BLOCK.search(pages.text("backend"))
    assert found
    folder = tmp_path_factory.mktemp("user")
    (folder / "mybackend.py").write_text(found["body"], encoding="utf-8")
    return folder


def conform(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mindref", "conform", "--backend", "mybackend:Mine"]
    return subprocess.run(
        [*command, "--profile", "smoke", *more],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_short(folder: Path) -> None:
    assert (folder / "mybackend.py").read_text(encoding="utf-8").count("\n") < 60


def test_it_conforms_in_what_it_claims(folder: Path) -> None:
    done = conform(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ops " in done.stdout


@pytest.mark.slow
def test_a_mistake_in_it_is_found_and_named(folder: Path) -> None:
    text = (folder / "mybackend.py").read_text(encoding="utf-8")
    right = "return weights * (d_out - (weights * d_out).sum(axis, keepdims=True))"
    assert text.count(right) == 1
    wrong = text.replace(right, "return weights * d_out")
    (folder / "wrong.py").write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "mindref", "conform", "softmax", "--backend", "wrong:Mine"]
    done = subprocess.run(
        [*command, "--profile", "smoke"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "softmax-R5" in done.stdout
    assert "your result equals the reference with this mistake" in " ".join(done.stdout.split())
