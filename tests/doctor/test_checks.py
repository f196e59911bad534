"""Checks of this process: versions, variables and cores."""

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

import mindref
from mindref.doctor import checks
from mindref.process import memory


def fake_versions(monkeypatch, **versions):
    """Let these packages have these versions, None for a missing package."""
    real_version = metadata.version

    def version(name):
        fake = versions.get(name, "real")
        if fake is None:
            raise metadata.PackageNotFoundError(name)
        return real_version(name) if fake == "real" else fake

    monkeypatch.setattr(metadata, "version", version)


def test_this_installation_is_ok():
    for name in ("mindref", "python", "packages"):
        assert checks.LOCAL_CHECKS[name]().state == "ok", name
    assert checks.check_mindref().facts["version"] == mindref.__version__


def test_a_missing_or_old_package_is_a_problem(monkeypatch):
    fake_versions(monkeypatch, numpy="1.9.3", scipy=None, numba="10.0")
    finding = checks.check_packages()
    assert finding.state == "problem"
    assert finding.todo == "pip install --upgrade 'numpy>=2.0' 'scipy>=1.13'"
    assert finding.facts["scipy"] is None


def test_mindref_without_metadata_is_a_problem(monkeypatch):
    fake_versions(monkeypatch, mindref=None)
    assert checks.check_mindref().state == "problem"
    fake_versions(monkeypatch, mindref="0.0.1")
    assert checks.check_mindref().state == "note"


def check_variable(monkeypatch, name, value):
    with monkeypatch.context() as patch:
        for other in list(os.environ):
            if other.startswith(("MINDREF_", "NUMBA_")):
                patch.delenv(other)
        patch.setenv(name, value)
        return checks.check_variables()


def test_the_listed_variables_are_those_that_the_package_reads():
    texts = [path.read_text("utf-8") for path in Path(mindref.__file__).parent.rglob("*.py")]
    names = {x for text in texts for x in re.findall(r"\bMINDREF_[A-Z_]*[A-Z]\b", text)}
    assert names - {"MINDREF_VARIABLES"} == set(checks.MINDREF_VARIABLES)


def test_variables_are_reported_and_unknown_ones_are_a_note(monkeypatch):
    assert check_variable(monkeypatch, "MINDREF_THREADS", "2").state == "ok"
    assert check_variable(monkeypatch, "OMP_NUM_THREADS", "7").facts["OMP_NUM_THREADS"] == "7"
    finding = check_variable(monkeypatch, "MINDREF_THREADS", "0")
    assert finding.state == "problem"
    assert finding.todo.startswith("MINDREF_THREADS: expected a number of threads")
    finding = check_variable(monkeypatch, "MINDREF_TREADS", "2")
    assert finding.state == "note"
    assert finding.todo.startswith("mindref does not read MINDREF_TREADS, only ")
    assert check_variable(monkeypatch, "NUMBA_DISABLE_JIT", "1").state == "note"
    assert check_variable(monkeypatch, "NUMBA_DISABLE_JIT", "0").state == "ok"


def test_a_cpu_limit_is_reported(monkeypatch):
    monkeypatch.setattr(checks, "cgroup_cores", lambda: 2.5)
    finding = checks.check_processor()
    assert (finding.state, finding.facts["granted"]) == ("ok", 2.5)
    assert finding.summary.endswith("limited to 2.5 by a cgroup")
    monkeypatch.setattr(checks, "cgroup_cores", lambda: None)
    assert checks.check_processor().summary.endswith(" cores usable")


@pytest.mark.rules("faults-R13")
def test_too_small_an_address_space_is_a_problem(monkeypatch):
    assert checks.check_memory_limit().state == "ok"
    monkeypatch.setattr(memory, "address_space_limit", lambda: 1 << 29)
    finding = checks.check_memory_limit()
    assert (finding.state, "ulimit -v" in finding.todo) == ("problem", True)
