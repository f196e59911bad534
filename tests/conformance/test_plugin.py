"""A package of another author: installed, found by its entry points, and tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mindref.backend import list_backends

INSTALLED = ", ".join(sorted(list_backends()))

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


def test_an_installed_backend_is_tested_by_name(installed: dict[str, str], tmp_path: Path) -> None:
    done = mindref(
        installed, tmp_path, "conform", "--backend", "example", "--profile", "smoke", "--json"
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    report = json.loads(done.stdout)
    assert report["backend"]["version"] == "mindref-example 0.1.0"


@pytest.mark.slow
def test_pytest_tests_an_installed_backend_from_any_folder(
    installed: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs"]
    command += ["mindref.conformance", "--mindref-backend", "example", "--mindref-profile", "smoke"]
    done = subprocess.run(
        command, cwd=tmp_path, env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def asked_in_vain(folder: Path, *options: str) -> str:
    """Return the output of pytest for invalid options."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs"]
    done = subprocess.run(
        [*command, "mindref.conformance", *options],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout == "", "nothing is collected"
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["backend=nobody"],
            f"backend: expected one of {INSTALLED}, or module:object, got 'nobody'",
        ),
        (["backend=nomodule:X"], "No module named 'nomodule'"),
        (["backend=numpy", "seed=-1"], "conform: seed: expected a number from 0, got -1"),
        (["backend=numpy", "words=softmax,flush"], "a page, a rule or a check"),
        (["backend=numpy", "expectations=no.toml"], "no.toml: expected a TOML file"),
        (["backend=numpy", "scripts=taken/x"], "--mindref-scripts: expected a folder, got taken/x"),
    ],
)
@pytest.mark.slow(every=3)
def test_an_invalid_option_ends_pytest_with_one_line(
    options: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    said = asked_in_vain(tmp_path, *(f"--mindref-{option}" for option in options))
    assert said.startswith("ERROR: ")
    assert says in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--mindref-profile=nonsense", "invalid choice: 'nonsense'"),
        ("--mindref-seed=x", "invalid int value: 'x'"),
    ],
)
def test_an_invalid_option_value_prints_the_usage(option: str, says: str, tmp_path: Path) -> None:
    said = asked_in_vain(tmp_path, option)
    assert said.startswith("ERROR: usage: ")
    (line,) = [line for line in said.splitlines() if "error: " in line]
    assert f"argument {option.partition('=')[0]}: {says}" in line
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("example_unimportable", "a_framework_that_is_not_installed"),
        ("example_wrong_type", "whole contract"),
        ("example_wrong_claims", "Capabilities"),
    ],
)
def test_a_broken_backend_ends_with_one_line(
    name: str, word: str, installed: dict[str, str], tmp_path: Path
) -> None:
    done = mindref(installed, tmp_path, "conform", "--backend", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: backend {name}")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_wrong_signature_is_quoted_in_the_failure(
    installed: dict[str, str], tmp_path: Path
) -> None:
    name = "example_wrong_signature"
    done = mindref(installed, tmp_path, "conform", "--backend", name, "--profile", "smoke")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TypeError" in done.stdout


def test_broken_backends_do_not_affect_others(installed: dict[str, str], tmp_path: Path) -> None:
    done = mindref(installed, tmp_path, "backends", "--json")
    usable = {row["name"]: row["usable"] for row in json.loads(done.stdout)}
    assert usable["numpy"]
    assert usable["example"]
    assert not usable["example_unimportable"]


@pytest.mark.slow
def test_pytest_uses_the_requested_device(installed: dict[str, str], tmp_path: Path) -> None:
    code = """
    from mindref.backend import NumpyBackend
    from mindref.errors import BackendError

    class Two(NumpyBackend):
        def on(self, device):
            if device == "cuda":
                raise BackendError("backend two: no cuda")
            self.device_name = "cpu-of-" + device
            return self
    """
    (tmp_path / "two.py").write_text(textwrap.dedent(code))
    options = ["backend=two:Two", "profile=smoke", "words=squash-R2"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs"]
    command += ["mindref.conformance", *(f"--mindref-{option}" for option in options)]
    done = subprocess.run(
        [*command, "--mindref-device=auto"],
        cwd=tmp_path, env=installed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ", device cpu-of-auto" in done.stdout
    said = asked_in_vain(tmp_path, *command[7:], "--mindref-device=cuda")
    assert said == "ERROR: backend two: no cuda"
