"""The checks are checked: every planted mistake must be caught by a test that cites its rule."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import pages
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


@pytest.mark.parametrize(("stem", "number", "row"), ROWS, ids=NAMES)
def test_a_planted_mistake_is_caught(
    stem: str, number: int, row: dict[str, str], copy: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--sabotage"):
        pytest.skip("takes minutes; run with --sabotage")
    target = copy / row["file"]
    whole = target.read_text(encoding="utf-8")
    target.write_text(whole.replace(row["old"], row["new"]), encoding="utf-8")
    try:
        done = run_tests(copy, row["rule"], row.get("tests", ""))
    finally:
        target.write_text(whole, encoding="utf-8")
    assert done.returncode == 1, (  # 1: tests ran and failed; 2 and more: they did not run
        f"{stem} row {number}: the tests of {row['rule']} ended with {done.returncode}\n"
        f"{done.stdout[-3000:]}{done.stderr[-1000:]}"
    )


def run_tests(folder: Path, rule: str, where: str) -> subprocess.CompletedProcess[str]:
    """Run the tests there that cite a rule, on the copy, which stands first on the path."""
    files = sorted(file for file in cited_by_tests()[rule] if file.startswith(where or "tests/"))
    if not where:  # the twins differ from whatever the reference does wrong: its own tests must see
        files = [file for file in files if not file.startswith(TWINS)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rule", rule]
    command = [sys.executable, "-B", "-m", "pytest", *options, *files]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
