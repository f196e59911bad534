"""Versions and variables."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

import mindref
from mindref.doctor import installed
from mindref.doctor.check import Check


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Let these distributions have these versions, None for none."""
    real = metadata.version

    def version(name: str) -> str:
        found = versions.get(name, "real")
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return real(name) if found == "real" else found

    monkeypatch.setattr(metadata, "version", version)


def test_all_is_well_here() -> None:
    for look in (installed.itself, installed.python, installed.packages, installed.extras):
        assert look().state == "ok"
    assert installed.itself().facts["version"] == mindref.__version__


def test_a_package_that_is_missing_or_too_old_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dict(installed.required())["numpy"] == "1.26"
    pretend(monkeypatch, numpy="1.9.3", scipy=None, numba="10.0")
    check = installed.packages()
    assert check.state == "problem"
    assert check.todo == "pip install --upgrade 'scipy>=1.11' 'numpy>=1.26'"
    assert check.facts["scipy"] is None


def test_an_extra_that_is_missing_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, pyarrow=None)
    check = installed.extras()
    assert check.state == "ok"
    assert "pyarrow (mindref[parquet])" in check.found.partition("not there: ")[2]


def test_a_mindref_without_metadata_finds_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, mindref=None)
    assert installed.itself().state == "problem"
    pretend(monkeypatch, mindref="0.0.1")
    assert installed.itself().state == "note"


def variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Check:
    with monkeypatch.context() as patch:
        for known in ("MINDREF_DATA", "NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT"):
            patch.delenv(known, raising=False)
        patch.setenv(name, value)
        return installed.variables()


def test_the_variables_of_ours_are_those_that_the_package_names() -> None:
    texts = [path.read_text("utf-8") for path in Path(mindref.__file__).parent.rglob("*.py")]
    named = {x for text in texts for x in re.findall(r"\bMINDREF_[A-Z_]*[A-Z]\b", text)}
    assert named == set(installed.OURS)


def test_variables_that_matter_are_told_and_those_nobody_reads_are_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert variables(monkeypatch, "MINDREF_THREADS", "2").state == "ok"
    assert variables(monkeypatch, "OMP_NUM_THREADS", "7").facts["OMP_NUM_THREADS"] == "7"
    check = variables(monkeypatch, "MINDREF_TREADS", "2")
    assert (check.state, check.todo[:27]) == ("note", "nothing reads MINDREF_TREAD")
    assert variables(monkeypatch, "NUMBA_DISABLE_JIT", "1").state == "note"
    assert variables(monkeypatch, "NUMBA_DISABLE_JIT", "0").state == "ok"
