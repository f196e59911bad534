"""The example backend of the specification page conforms, and is short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import spec_pages

BLOCK = re.compile(r"^```python worked-backend\n(?P<body>.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that contains only the file from the page."""
    found = BLOCK.search(spec_pages.text("backend"))
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


def test_the_worked_backend_is_short(folder: Path) -> None:
    assert (folder / "mybackend.py").read_text(encoding="utf-8").count("\n") < 60


def test_the_worked_backend_conforms(folder: Path) -> None:
    done = conform(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ops " in done.stdout


@pytest.mark.slow
def test_a_mutation_of_the_worked_backend_is_diagnosed(folder: Path) -> None:
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
