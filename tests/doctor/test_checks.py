"""Checks of this process: versions, variables, cores, memory, folders and standard output."""

import fcntl
import io
import os
import re
from importlib import metadata
from pathlib import Path

import pytest

import mindref
from mindref.doctor import checks
from mindref.run import atomic


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
    for name in ("mindref", "python", "packages", "extras"):
        assert checks.LOCAL_CHECKS[name]().state == "ok", name
    assert checks.check_mindref().facts["version"] == mindref.__version__


def test_a_missing_or_old_package_is_a_problem(monkeypatch):
    fake_versions(monkeypatch, numpy="1.9.3", scipy=None, numba="10.0")
    finding = checks.check_packages()
    assert finding.state == "problem"
    assert finding.todo == "pip install --upgrade 'scipy>=1.13' 'numpy>=2.0'"
    assert finding.facts["scipy"] is None


def test_a_missing_optional_package_is_listed_with_its_extra(monkeypatch):
    fake_versions(monkeypatch, pyarrow=None)
    finding = checks.check_extras()
    assert finding.state == "ok"
    assert "pyarrow (extra parquet)" in finding.summary.partition("not installed: ")[2]


def test_optional_packages_are_those_of_the_metadata():
    packages = checks.check_extras().facts
    assert {"faiss-cpu", "hypothesis", "pytest"} <= set(packages)
    assert {"mindref-torch", "mindref-jax", "torch", "jax", "implicit"} <= set(packages)
    assert "ruff" not in packages


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


def test_little_memory_is_a_note(monkeypatch):
    monkeypatch.setattr(checks, "free_memory", lambda: 8 << 30)
    monkeypatch.setattr(checks, "total_memory", lambda: 16 << 30)
    for limit, state in ((1 << 29, "note"), (4 << 30, "ok"), (None, "ok")):
        monkeypatch.setattr(checks, "cgroup_memory", lambda limit=limit: limit)
        finding = checks.check_memory_size()
        assert finding.state == state
        assert ("cgroup" in finding.summary) == (limit is not None)
    monkeypatch.setattr(checks, "free_memory", lambda: 1 << 20)
    assert checks.check_memory_size().state == "note"


def raise_io_error(*_):
    raise OSError(5, "Input/output error")


def test_a_usable_folder_is_left_unchanged_and_any_other_is_a_note(tmp_path):
    finding = checks.check_folder_writable(tmp_path)
    assert (finding.state, finding.facts["locks"]) == ("ok", "")
    assert list(tmp_path.iterdir()) == []
    finding = checks.check_folder_writable(tmp_path / "none")
    assert finding.state == "note"
    assert finding.summary == f"{tmp_path / 'none'} is not writable (No such file or directory)"


def test_a_disk_that_loses_written_data_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", raise_io_error)
    finding = checks.check_folder_writable(tmp_path)
    assert finding.state == "problem"
    assert "Input/output error" in finding.summary
    assert list(tmp_path.iterdir()) == []


def test_missing_file_locks_and_a_full_disk_are_notes(tmp_path, monkeypatch):
    usage = checks.shutil._ntuple_diskusage(10, 9, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checks.shutil, "disk_usage", lambda path: usage)
        assert checks.check_folder_writable(tmp_path).state == "note"
    monkeypatch.setattr(fcntl, "flock", raise_io_error)
    finding = checks.check_folder_writable(tmp_path)
    assert finding.state == "note"
    assert "no file locks (Input/output error)" in finding.summary


def test_a_folder_of_the_user_that_is_not_writable_is_a_note(tmp_path, monkeypatch):
    """The folders that are used are checked, not the home folder."""
    for name in ("NUMBA_CACHE_DIR", "MINDREF_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new" / "state"))
    finding = checks.check_user_folders()
    assert finding.state == "ok"
    assert finding.facts["key"] == str(tmp_path / "new" / "state" / "mindref")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    finding = checks.check_user_folders()
    todo = "set NUMBA_CACHE_DIR to a writable folder that is yours alone"
    assert (finding.state, finding.todo) == ("note", todo)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MINDREF_KEY", str(tmp_path / "file" / "key"))
    finding = checks.check_user_folders()
    assert finding.todo == "set MINDREF_KEY to a file in a writable folder"


@pytest.mark.parametrize(("encoding", "state"), [("ascii", "note"), ("UTF-8", "ok")])
def test_an_encoding_without_all_characters_is_a_note(encoding, state, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert checks.check_output_encoding().state == state
    monkeypatch.setattr("sys.stdout", None)
    assert checks.check_output_encoding().state == "note"
