"""Numbers of threads, and the number that a run stores because it affects the last bits."""

import json
import os

import pytest

from mindref.cli.settings import run_backend, run_threads, set_threads, usable_cores
from mindref.errors import ConfigError
from tests.runs import trained

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MINDREF_THREADS", "7")


@pytest.fixture
def by_products(tmp_path):
    """A run of `numpy`, whose bytes depend on the BLAS threads."""
    return trained(tmp_path / "run", backend="numpy")


def test_the_environment_overrides_the_default_of_one_thread(monkeypatch):
    set_threads(None, "numpy")
    assert [os.environ[name] for name in NAMES] == ["7"] * 3
    for name in NAMES:
        monkeypatch.delenv(name)
    set_threads(None, "numpy")
    assert [os.environ[name] for name in NAMES] == ["1"] * 3
    set_threads(2, "numpy")
    assert [os.environ[name] for name in NAMES] == ["2"] * 3
    assert os.environ["MINDREF_THREADS"] == "1", "one of the two owns the cores"


def test_numba_uses_all_cores_and_blas_one_thread(monkeypatch):
    set_threads(None, "numba")
    assert os.environ["MINDREF_THREADS"] == "7", "as the environment says"
    monkeypatch.delenv("MINDREF_THREADS")
    set_threads(None, "numba")
    assert os.environ["MINDREF_THREADS"] == str(usable_cores())
    assert [os.environ[name] for name in NAMES] == ["1"] * 3
    set_threads(3, "numba")
    assert os.environ["MINDREF_THREADS"] == "3"
    assert [os.environ[name] for name in NAMES] == ["1"] * 3


def test_a_numba_run_resumes_with_any_number_of_threads(trained_run, cli):
    assert run_backend(trained_run) == "numba"
    assert run_threads(trained_run, 9) == 9
    assert cli("train", "--resume", trained_run, "--threads", 3, "--quiet").code == 0
    assert os.environ["MINDREF_THREADS"] == "3"


def test_a_run_resumes_with_its_number_of_threads(by_products, cli):
    started = int(json.loads((by_products / "config.json").read_text())["threads"])
    assert run_threads(by_products, None) == run_threads(by_products, started) == started
    with pytest.raises(ConfigError) as caught:
        run_threads(by_products, started + 1)
    expected = f"--threads: expected {started}, as the run was started, got {started + 1}"
    assert str(caught.value) == expected
    assert cli("train", "--resume", by_products, "--quiet", "--json").code == 0
    assert os.environ["OPENBLAS_NUM_THREADS"] == str(started)
    assert cli("train", "--resume", by_products, "--threads", 9).code == 2


def test_an_unreadable_run_is_rejected_later_and_one_from_python_has_no_number(tmp_path):
    assert run_threads(tmp_path, 3) == 3
    for content in ("[]", '{"threads": ""}'):
        (tmp_path / "config.json").write_text(content)
        assert run_threads(tmp_path, 2) == 2
        assert run_threads(tmp_path, None) is None
