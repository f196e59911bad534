"""A package of another author: installed, found by its entry points, and tested."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mindref.backend import list_backends

pytestmark = pytest.mark.slow

INSTALLED = ", ".join(sorted(list_backends()))

PLUGIN = Path(__file__).parent.parent / "plugin"


def run(folder, *words, env=None):
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def run_pytest(folder, *options, env=None):
    words = ["pytest", "-q", "-p", "no:cacheprovider", "--assert=plain"]
    words += ["--pyargs", "mindref.conformance"]
    return run(folder, *words, *(f"--mindref-{option}" for option in options), env=env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process in which the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "plugin"  # pip builds where the source is
    shutil.copytree(PLUGIN, source)
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(folder)]
    done = run(folder, "pip", "install", *options, str(source))
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.slow
def test_an_installed_backend_is_tested_by_name(installed, tmp_path):
    words = ["conform", "--backend", "example", "--profile", "smoke", "--json"]
    done = run(tmp_path, "mindref", *words, env=installed)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    report = json.loads(done.stdout)
    assert report["backend"]["version"] == "mindref-example 0.1.0"


@pytest.mark.slow
def test_pytest_tests_an_installed_backend_from_any_folder(installed, tmp_path):
    done = run_pytest(tmp_path, "backend=example", "profile=smoke", env=installed)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def usage_error(folder, *options, env=None):
    done = run_pytest(folder, *options, env=env)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stdout == "", "nothing is collected"
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("options", "message"),
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
@pytest.mark.slow(every=6)
def test_an_invalid_option_ends_pytest_with_one_line(options, message, tmp_path):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    error = usage_error(tmp_path, *options)
    assert error.startswith("ERROR: ")
    assert message in error
    assert error.count("\n") == 0


@pytest.mark.rules("conformance-R18")
def test_an_invalid_site_ends_pytest_with_one_line(tmp_path):
    env = {**os.environ, "MINDREF_SITE": "/nowhere"}
    error = usage_error(tmp_path, "backend=numpy", "words=softmax-R8", env=env)
    assert error.startswith("ERROR: MINDREF_SITE: expected an address")
    assert "got /nowhere; correct or unset the variable" in error
    assert error.count("\n") == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [("profile=nonsense", "invalid choice: 'nonsense'"), ("seed=x", "invalid int value: 'x'")],
)
def test_an_invalid_option_value_prints_the_usage(option, message, tmp_path):
    error = usage_error(tmp_path, option)
    assert error.startswith("ERROR: usage: ")
    (line,) = [line for line in error.splitlines() if "error: " in line]
    assert f"argument --mindref-{option.partition('=')[0]}: {message}" in line
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("example_unimportable", "a_framework_that_is_not_installed"),
        ("example_wrong_type", "whole contract"),
        ("example_wrong_claims", "Capabilities"),
    ],
)
def test_a_broken_backend_ends_with_one_line(name, word, installed, tmp_path):
    done = run(tmp_path, "mindref", "conform", "--backend", name, env=installed)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: backend {name}")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_wrong_signature_is_quoted_in_the_failure(installed, tmp_path):
    words = ["conform", "--backend", "example_wrong_signature", "--profile", "smoke"]
    done = run(tmp_path, "mindref", *words, env=installed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TypeError" in done.stdout


def test_broken_backends_do_not_affect_others(installed, tmp_path):
    done = run(tmp_path, "mindref", "backends", "--json", env=installed)
    usable = {row["name"]: row["usable"] for row in json.loads(done.stdout)}
    assert usable["numpy"]
    assert usable["example"]
    assert not usable["example_unimportable"]


@pytest.mark.slow
def test_pytest_uses_the_requested_device(installed, tmp_path):
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
    done = run_pytest(tmp_path, *options, "device=auto", env=installed)
    assert ", device cpu-of-auto" in done.stdout
    assert usage_error(tmp_path, *options, "device=cuda") == "ERROR: backend two: no cuda"
