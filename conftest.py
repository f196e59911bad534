"""Hypothesis profiles, fixtures of all folders, and the choice of tests.

A test that this run cannot or need not run is deselected, and the last lines of the run say why.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

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

# Hypothesis also draws constants that it reads in the source of all imported modules. Then the
# draws of a test depend on the tests before it, and parsing takes seconds. So read no modules.
providers._get_local_constants = lambda: providers._local_constants

# no deadline: the machine is shared; no database: a run depends on nothing that a run before left
settings.register_profile(
    "default",
    deadline=None,
    max_examples=12,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("all", settings.get_profile("default"), max_examples=25)
settings.register_profile(
    "long", settings.get_profile("default"), max_examples=500, derandomize=False
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options that choose tests, and import mindref as users import it.

    mindref has a plugin of pytest. So pytest rewrites the assertions of each module of mindref, and
    compiles it a second time: about 8 seconds of a new checkout, in each process.
    """
    getattr(pluginmanager.rewrite_hook, "_must_rewrite", set()).discard("mindref")
    parser.addoption("--all", action="store_true", help="slow tests and more examples, too")
    parser.addoption("--long", action="store_true", help="500 examples a property, fresh ones")
    parser.addoption("--rule", help="only tests marked with this rule, as routing-R3")
    help = "run mutants: changed since --base (default), all, or those with TEXT in their name"
    parser.addoption("--mutants", nargs="?", const="changed", metavar="TEXT", help=help)
    parser.addoption("--base", metavar="COMMIT", help="default: the newest one a day before HEAD")
    parser.addoption("--sweep", action="store_true", help="all faults: tests/faults, kills")


def pytest_configure(config: pytest.Config) -> None:
    """Load the Hypothesis profile."""
    mutants = config.getoption("--mutants")
    more = "all" if config.getoption("--all") or mutants else "default"
    settings.load_profile("long" if config.getoption("--long") else more)
    if mutants:
        from tests.mutants.plugin import MutantRun

        config.pluginmanager.register(MutantRun(config))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--rule`, import only the test files that cite the rule, and their conftest files."""
    rule = config.getoption("--rule")
    if rule is None:
        return None
    citation = re.compile(rf'mark\.rules\([^)]*"{re.escape(rule)}"')
    files = [collection_path] if collection_path.is_file() else collection_path.rglob("test_*.py")
    return not any(citation.search(file.read_text(encoding="utf-8")) for file in files) or None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process where all files run: its tests share what they compile."""
    from xdist.scheduler import LoadFileScheduling

    all_files = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not all_files or config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False  # the order is that of `sort_files`
    return LoadFileScheduling(config, log)


def sort_files(items: list[pytest.Item]) -> None:
    """Sort the files so that one process compiles the kernels, and the others load them.

    Meanwhile the other processes run tests that call no kernel. Large files come first.
    """
    compiling, plain = "tests/recommender/test_families.py", ("ops", "study", "data", "models")
    sizes = Counter(item.path for item in items)

    def order(item: pytest.Item) -> tuple[int, int, str]:
        name = item.path.relative_to(REPOSITORY).as_posix()
        is_plain = name.startswith(tuple(f"tests/{folder}/" for folder in plain))
        group = 0 if name == compiling else 1 if is_plain else 2
        return group, -sizes[item.path], name

    items.sort(key=order)


DATA = Path(os.environ.get("MINDREF_DATA", REPOSITORY.parent / "shared" / "data"))
"""The folder of real data sets, which are not part of the repository."""
BUILT_SITE = REPOSITORY / ".site" / "built"
REQUIRE_BROWSERS = bool(os.environ.get("MINDREF_REQUIRE_BROWSERS"))
"""Whether a missing browser is an error, as in `.ci/run`."""
PROGRAMS = {"browser": ("chromium", "google-chrome"), "firefox": ("firefox-esr", "firefox")}
"""Fixture -> names of the program that the fixture starts."""
LEFT_OUT = pytest.StashKey[Counter[str]]()
"""Reason -> number of tests that are deselected for this reason."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that the options do not choose, and those that cannot run here."""
    rule = config.getoption("--rule")
    if rule:
        deselect(config, items, {id(x): f"no {rule}" for x in items if rule not in labels(x)})
    left_out = {id(item): "slow (--all)" for item in slow_items(items)}
    if config.getoption("--all"):
        left_out = {}
    for item in items:
        for reason in reasons_to_leave_out(item):
            left_out.setdefault(id(item), reason)
    counts = config.stash.setdefault(LEFT_OUT, Counter())
    counts.update(left_out.values())
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = dict(counts)
    deselect(config, items, left_out)
    if hasattr(config, "workerinput"):
        sort_files(items)


def deselect(config: pytest.Config, items: list[pytest.Item], left_out: dict[int, str]) -> None:
    """Remove the items with these ids."""
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


def reasons_to_leave_out(item: pytest.Item) -> Iterator[str]:
    """Yield an option, package, program or folder that a test needs and this run lacks."""
    if item.get_closest_marker("sweep") and not item.config.getoption("--sweep"):
        yield "take minutes (--sweep)"
    for mark in item.iter_markers("needs"):
        for package in mark.args:
            if find_spec(package) is None:
                yield f"need the package {package}"
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    fixtures = set(getattr(item, "fixturenames", ())) - parameters.keys()
    if "real_data" in fixtures and not DATA.is_dir():
        yield f"need real data sets in {DATA} (MINDREF_DATA)"
    if "site" in fixtures and not BUILT_SITE.is_dir():
        yield "need the built site (.ci/run docs)"
    for name, programs in PROGRAMS.items():
        if name in fixtures and not any(map(shutil.which, programs)) and not REQUIRE_BROWSERS:
            yield f"need {programs[0]} (apt-get install {programs[0]})"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Store what a process of pytest-xdist left out: each process collects the same tests."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the reasons for which tests are left out."""
    for reason, count in config.stash.get(LEFT_OUT, Counter()).most_common():
        terminalreporter.write_line(f"left out: {count} {reason}")


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


def labels(item: pytest.Item) -> set[str]:
    """Return the rules that a test cites."""
    return {label for mark in item.iter_markers("rules") for label in mark.args}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; without it, a test that uses the fixture is deselected."""
    return DATA


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach; that of pytest is its owner's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
