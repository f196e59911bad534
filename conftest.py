"""Hypothesis profiles, the real data sets, and the choice of tests by rule."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parent

# before NumPy is imported: test processes share the cores, and OpenBLAS spins while it waits
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# where these are set pytest writes whole differences, and those of a page of bytes take minutes
for name in ("CI", "BUILD_NUMBER"):
    os.environ.pop(name, None)

# an index is opened by the user who built it: the key of tests is not that of the user
own = f"mindref-tests-{getpass.getuser()}"
os.environ["MINDREF_KEY"] = str(Path(tempfile.gettempdir()) / own / "key")

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
settings.register_profile("fuzz", settings.get_profile("long"), max_examples=3000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose tests."""
    parser.addoption("--all", action="store_true", help="the tests marked as slow, too")
    parser.addoption("--third", metavar="WORD", help="a third of the tests, chosen by this word")
    parser.addoption("--long", action="store_true", help="500 examples a property, fresh ones")
    parser.addoption("--rule", help="only tests marked with this rule, as routing-R3")
    parser.addoption(
        "--mutants",
        nargs="?",
        const="changed",
        choices=("changed", "all"),
        help="run tests on the mutants that changed since their recorded kill, or on all",
    )
    parser.addoption("--record-kills", action="store_true", help="write tests/mutants/killed.json")
    parser.addoption("--damage", action="store_true", help="damage runs at many places")
    parser.addoption("--kill", action="store_true", help="kill commands at many moments, resume")
    parser.addoption("--fuzz", action="store_true", help="3000 inputs a property of tests/fuzz")


def pytest_configure(config: pytest.Config) -> None:
    """Load the Hypothesis profile."""
    chosen = [name for name in ("fuzz", "long") if config.getoption(f"--{name}")]
    settings.load_profile(chosen[0] if chosen else "default")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process where all files run: its tests share what they compile."""
    from xdist.scheduler import LoadFileScheduling

    all_files = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    by_file = all_files and config.getoption("dist") == "load"
    return LoadFileScheduling(config, log) if by_file else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that the options do not choose."""
    rule, word = config.getoption("--rule"), config.getoption("--third")
    if rule:
        items[:] = [item for item in items if rule in labels(item)]
    if not config.getoption("--all"):
        deselect(config, items, {id(item) for item in slow_items(items)})
    if word:
        others = [item for item in items if crc32(f"{word} {item.nodeid}".encode()) % 3]
        deselect(config, items, {id(item) for item in others})


def deselect(config: pytest.Config, items: list[pytest.Item], left_out: set[int]) -> None:
    """Remove the items with these ids."""
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


def slow_items(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield tests marked as slow. `slow(every=n, start=m)` keeps the cases m, m + n, m + 2 n, ...

    The cases of a test function are counted in the order of their parameters.
    """
    numbers: dict[tuple[object, str], int] = {}
    for item in items:
        mark = item.get_closest_marker("slow")
        if mark:
            test = (item.parent, getattr(item, "originalname", item.name))
            number = numbers[test] = numbers.get(test, -1) + 1
            if not mark.kwargs or (number - mark.kwargs.get("start", 0)) % mark.kwargs["every"]:
                yield item


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the kills that tests/test_mutants.py reports, from every process."""
    killed = dict(value for name, value in report.user_properties if name == "killed mutant")
    if report.when == "call" and report.passed:
        KILLED.update(killed)
    elif report.failed and "test_a_mutant_is_killed[" in report.nodeid:
        SURVIVORS.add(report.nodeid.partition("[")[2].rstrip("]"))


KILLED: dict[str, str] = {}
"""Mutant -> fingerprint of its rule, of this run."""
SURVIVORS: set[str] = set()
"""Mutants that the tests did not kill in this run."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record of kills, in the process that has all reports."""
    if session.config.getoption("--record-kills") and not hasattr(session.config, "workerinput"):
        from tests import mutants
        from tests.mutants import record

        record.write(KILLED, SURVIVORS, mutants.of_scope("tests"))


def labels(item: pytest.Item) -> set[str]:
    """Return the rules that a test cites."""
    return {label for mark in item.iter_markers("rules") for label in mark.args}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, which are not part of the repository."""
    folder = Path(os.environ.get("MINDREF_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; set MINDREF_DATA to their folder")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach; that of pytest is its owner's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
