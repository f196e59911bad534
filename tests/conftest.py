"""Hypothesis profiles, the real data sets, and the choice of tests by rule."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parent.parent

# before NumPy is imported: test processes share the cores, and OpenBLAS spins while it waits
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# a shell that starts the tests in the background has Ctrl-C ignored, and all that they start, too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# no deadline: the machine is shared; no database: a run depends on nothing that a run before left
settings.register_profile(
    "default",
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", settings.get_profile("default"), max_examples=500, derandomize=False
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="500 examples a property, fresh ones")
    parser.addoption("--rule", help="only tests marked with this rule, as routing-R3")
    parser.addoption("--sabotage", action="store_true", help="plant the mistakes of tests/sabotage")
    parser.addoption("--kill", action="store_true", help="kill a training twenty times, resume")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "default")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rule = config.getoption("--rule")
    if rule:
        items[:] = [item for item in items if rule in labels(item)]


def labels(item: pytest.Item) -> set[str]:
    return {label for mark in item.iter_markers("rules") for label in mark.args}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, which are not part of the repository."""
    folder = Path(os.environ.get("MINDREF_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; set MINDREF_DATA to their folder")
    return folder
