"""A package by somebody else, installed, found by its entry points, and judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent.parent / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "plugin"  # pip builds where the source is
    shutil.copytree(PLUGIN, source)
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": str(folder)}


def mindref(
    installed: dict[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mindref", *arguments]
    return subprocess.run(
        command, cwd=folder, env=installed, capture_output=True, text=True, check=False
    )


def test_it_is_judged_by_its_name(installed: dict[str, str], tmp_path: Path) -> None:
    done = mindref(
        installed, tmp_path, "conform", "--backend", "example", "--profile", "smoke", "--json"
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    report = json.loads(done.stdout)
    assert report["backend"]["version"] == "mindref-example 0.1.0"


def test_pytest_judges_it_from_any_folder(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs"]
    command += ["mindref.conformance", "--mindref-backend", "example", "--mindref-profile", "smoke"]
    done = subprocess.run(
        command, cwd=tmp_path, env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("example_unimportable", "a_framework_that_is_not_installed"),
        ("example_wrong_type", "whole contract"),
        ("example_wrong_claims", "Capabilities"),
    ],
)
def test_a_broken_one_is_refused_in_one_line(
    name: str, word: str, installed: dict[str, str], tmp_path: Path
) -> None:
    done = mindref(installed, tmp_path, "conform", "--backend", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: backend {name}")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_signature_is_a_failure_that_quotes_it(
    installed: dict[str, str], tmp_path: Path
) -> None:
    name = "example_wrong_signature"
    done = mindref(installed, tmp_path, "conform", "--backend", name, "--profile", "smoke")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TypeError" in done.stdout


def test_broken_ones_do_not_disturb_the_others(installed: dict[str, str], tmp_path: Path) -> None:
    done = mindref(installed, tmp_path, "backends", "--json")
    usable = {row["name"]: row["usable"] for row in json.loads(done.stdout)}
    assert usable["numpy"]
    assert usable["example"]
    assert not usable["example_unimportable"]
