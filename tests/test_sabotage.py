"""The checks are checked: every planted mistake must be caught by a test that cites its rule."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest

from tests import pages
from tests.hatchery import TOO_LONG
from tests.test_mirror import cited_by_tests

REPOSITORY = Path(__file__).parent.parent
ROWS = [
    (path.stem, number, row)
    for path in sorted((REPOSITORY / "tests" / "sabotage").glob("*.toml"))
    for number, row in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["sabotage"])
]
TWINS = "tests/kernels/"
NAMES = [f"{row['rule']}-{stem}-{number}" for stem, number, row in ROWS]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, to be damaged and mended."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("mindref", "tests", "specs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
    for name in ("setup.cfg", "README.md", "CHANGELOG.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def test_every_rule_has_a_planted_mistake() -> None:
    rules = {rule for page in pages.names() for rule in pages.rules(page)}
    planted = {row["rule"] for _, _, row in ROWS}
    assert planted == rules, f"without: {rules - planted}; unknown: {planted - rules}"


@pytest.mark.parametrize(("stem", "number", "row"), ROWS, ids=NAMES)
def test_a_planted_mistake_can_be_planted(stem: str, number: int, row: dict[str, str]) -> None:
    text = (REPOSITORY / row["file"]).read_text(encoding="utf-8")
    assert text.count(row["old"]) == 1, f"{stem} row {number}: `old` must stand once in the file"
    assert row["old"] != row["new"]
    if row["file"].endswith(".py"):  # what cannot be read is no mistake that anybody makes
        ast.parse(text.replace(row["old"], row["new"]))


@pytest.fixture(scope="module")
def hatchery() -> Iterator[Popen[str]]:
    """A process whose forks run tests."""
    command = [sys.executable, "-P", "-B", str(REPOSITORY / "tests" / "hatchery.py")]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    with Popen(command, stdin=PIPE, stdout=PIPE, env=env, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_nothing_is_caught_where_nothing_is_planted(
    copy: Path, hatchery: Popen[str], request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--sabotage"):
        pytest.skip("run with --sabotage")
    code, printed = run_tests(hatchery, copy, "softmax-R2", "")
    assert code == 0, printed


@pytest.mark.parametrize(("stem", "number", "row"), ROWS, ids=NAMES)
def test_a_planted_mistake_is_caught(
    stem: str,
    number: int,
    row: dict[str, str],
    copy: Path,
    hatchery: Popen[str],
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--sabotage"):
        pytest.skip("takes minutes; run with --sabotage")
    target = copy / row["file"]
    whole = target.read_text(encoding="utf-8")
    target.write_text(whole.replace(row["old"], row["new"]), encoding="utf-8")
    try:
        where = row.get("tests", "")
        code, printed = answered(lambda: run_tests(hatchery, copy, row["rule"], where))
    finally:
        target.write_text(whole, encoding="utf-8")
    # 1: tests ran and failed; 2 and more: they did not run
    assert code == 1, (
        f"{stem} row {number}: the tests of {row['rule']} ended with {code}\n{printed}"
    )


def answered(attempt: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Run tests, and once more if they took too long: a machine that stood still is no answer."""
    code, printed = attempt()
    if code == TOO_LONG:
        print(f"took too long:\n{printed}", file=sys.stderr)
        code, printed = attempt()
    return code, printed


@pytest.mark.parametrize(
    ("codes", "expected"), [([1, 0], 1), ([TOO_LONG, 1], 1), ([TOO_LONG, TOO_LONG, 1], TOO_LONG)]
)
def test_a_machine_that_stood_still_is_asked_once_more(codes: list[int], expected: int) -> None:
    left = iter(codes)
    assert answered(lambda: (next(left), "printed")) == (expected, "printed")


def test_a_run_that_hangs_says_where(hatchery: Popen[str], tmp_path: Path) -> None:
    hangs = "import time\n\ndef test_hangs():\n    time.sleep(60)\n"
    (tmp_path / "test_hangs.py").write_text(hangs, encoding="utf-8")
    code, printed = hatched(hatchery, tmp_path, ["-q", "-p", "no:xdist"], longest=2)
    assert code == TOO_LONG
    assert "(most recent call first)" in printed, "in the test, or before it on a busy machine"


def test_one_that_ends_is_not_asked(hatchery: Popen[str], tmp_path: Path) -> None:
    (tmp_path / "test_fails.py").write_text(
        "def test_fails():\n    raise OSError\n", encoding="utf-8"
    )
    code, printed = hatched(hatchery, tmp_path, ["-q", "-p", "no:xdist"], longest=60)
    assert code == 1
    assert "(most recent call first)" not in printed


def test_long_bytes_that_differ_are_told_at_once_where_the_machine_says_it_is_for_ci(
    tmp_path: Path,
) -> None:
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path)
    differs = """
def test_differs():
    import random
    assert random.Random(0).randbytes(20_000) == random.Random(1).randbytes(20_000)
"""
    (tmp_path / "test_differs.py").write_text(differs, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    env = {**os.environ, "CI": "true", "BUILD_NUMBER": "1"}
    ended = run(
        [*command, str(tmp_path)], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr


def run_tests(hatchery: Popen[str], folder: Path, rule: str, where: str) -> tuple[int, str]:
    """Run the tests there that cite a rule, on the copy, which stands first on the path."""
    files = sorted(file for file in cited_by_tests()[rule] if file.startswith(where or "tests/"))
    if not where:  # the twins differ from whatever the reference does wrong: its own tests must see
        files = [file for file in files if not file.startswith(TWINS)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--all", "--rule", rule]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis is there already
    return hatched(hatchery, folder, [*options, *files])


def hatched(
    hatchery: Popen[str], folder: Path, options: list[str], **limits: float
) -> tuple[int, str]:
    """Run tests in a folder; return the exit code and the end of what was printed."""
    out = folder / "printed.txt"
    asked = {"folder": str(folder), "options": options, "out": str(out), **limits}
    assert hatchery.stdin is not None
    assert hatchery.stdout is not None
    hatchery.stdin.write(json.dumps(asked) + "\n")
    hatchery.stdin.flush()
    code = int(hatchery.stdout.readline())
    return code, out.read_text(encoding="utf-8", errors="replace")[-4000:]
