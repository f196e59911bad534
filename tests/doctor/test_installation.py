"""Checks of versions and environment variables."""

import re
from importlib import metadata
from pathlib import Path

import mindref
from mindref.doctor import installation


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
    for check in (
        installation.check_mindref,
        installation.check_python,
        installation.check_packages,
        installation.check_extras,
    ):
        assert check().state == "ok"
    assert installation.check_mindref().facts["version"] == mindref.__version__


def test_a_missing_or_old_package_is_a_problem(monkeypatch):
    assert dict(installation.required_versions())["numpy"] == "1.26"
    fake_versions(monkeypatch, numpy="1.9.3", scipy=None, numba="10.0")
    finding = installation.check_packages()
    assert finding.state == "problem"
    assert finding.todo == "pip install --upgrade 'scipy>=1.11' 'numpy>=1.26'"
    assert finding.facts["scipy"] is None


def test_a_missing_optional_package_is_listed_with_its_extra(monkeypatch):
    fake_versions(monkeypatch, pyarrow=None)
    finding = installation.check_extras()
    assert finding.state == "ok"
    assert "pyarrow (mindref[parquet])" in finding.summary.partition("not installed: ")[2]


def test_optional_packages_are_those_of_the_metadata():
    packages = installation.optional_packages()
    assert packages["faiss-cpu"] == "faiss"
    assert packages["hypothesis"] == packages["pytest"] == "conformance"
    assert {"mindref-torch", "mindref-jax", "torch", "jax", "implicit"} <= set(packages)
    assert "ruff" not in packages


def test_mindref_without_metadata_is_a_problem(monkeypatch):
    fake_versions(monkeypatch, mindref=None)
    assert installation.check_mindref().state == "problem"
    fake_versions(monkeypatch, mindref="0.0.1")
    assert installation.check_mindref().state == "note"


def check_variable(monkeypatch, name, value):
    with monkeypatch.context() as patch:
        for other in ("MINDREF_DATA", "NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT"):
            patch.delenv(other, raising=False)
        patch.setenv(name, value)
        return installation.check_variables()


def test_the_listed_variables_are_those_that_the_package_reads():
    texts = [path.read_text("utf-8") for path in Path(mindref.__file__).parent.rglob("*.py")]
    names = {x for text in texts for x in re.findall(r"\bMINDREF_[A-Z_]*[A-Z]\b", text)}
    assert names - {"MINDREF_VARIABLES"} == set(installation.MINDREF_VARIABLES)


def test_variables_are_reported_and_unknown_ones_are_a_note(monkeypatch):
    assert check_variable(monkeypatch, "MINDREF_THREADS", "2").state == "ok"
    assert check_variable(monkeypatch, "OMP_NUM_THREADS", "7").facts["OMP_NUM_THREADS"] == "7"
    finding = check_variable(monkeypatch, "MINDREF_TREADS", "2")
    assert finding.state == "note"
    assert finding.todo.startswith("mindref does not read MINDREF_TREADS, only ")
    assert check_variable(monkeypatch, "NUMBA_DISABLE_JIT", "1").state == "note"
    assert check_variable(monkeypatch, "NUMBA_DISABLE_JIT", "0").state == "ok"
