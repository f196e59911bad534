"""The tests are tested: the tests that cite the rule of a mutant must fail on the mutant."""

import ast
import json
import math
import os
import re
import shutil
import stat
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path
from subprocess import PIPE, Popen, run

import numpy as np
import pytest

from mindref.conformance.mutants import anchors
from mindref.conformance.mutants.loader import SCOPES
from mindref.conformance.runner.check import all_checks
from mindref.study import ambiguities
from mindref.study.variants import entries
from tests import mutants
from tests.forkserver import TOO_LONG
from tests.mutants import record
from tests.test_mirror import cited_by_tests

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "mindref"
REFERENCE_PEERS = "tests/kernels/"
LIBRARIES = (np, np.linalg, np.random.Generator, np.ndarray, str, bytes, dict, list, datetime, Path)
LIBRARIES += (json, math, os, shutil, stat, threading, time)
"""Objects whose attributes a mutant may use although the package does not."""
NO_TESTS = 5
"""Exit code of pytest if no test was selected."""

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
EACH = pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)


@cache
def edited(mutant):
    """Return file -> text before and after the edits of a mutant."""
    by_file = {}
    for edit in mutant.edits:
        by_file.setdefault(edit.file, []).append(edit)
    texts = {file: (PACKAGE / file).read_text(encoding="utf-8") for file in by_file}
    return {
        file: (texts[file], anchors.apply_edits(texts[file], by_file[file])) for file in by_file
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the tree, to be edited and restored."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("mindref", "tests", "specs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
    for name in ("conftest.py", "setup.cfg", "README.md", "CHANGELOG.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def test_every_rule_that_the_suite_checks_has_a_mutant_of_the_suite():
    rules = {rule for check in all_checks() for rule in check.rules}
    broken = {mutant.rule for mutant in mutants.of_scope("suite")}
    assert broken == rules, f"without: {rules - broken}; unknown: {broken - rules}"


def test_the_study_shows_the_mutants_of_its_scope():
    readings = [reading for card in ambiguities.read_cards() for reading in card["reading"]]
    shown = {reading["mutant"] for reading in readings if "mutant" in reading}
    shown |= {entry.mutant.name for entry in entries.variant_table().values()}
    assert shown == {mutant.name for mutant in mutants.of_scope("study")}


def test_each_name_is_unique_and_each_description_has_text():
    names = Counter(mutant.name for mutant in mutants.MUTANTS)
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert [mutant.name for mutant in mutants.MUTANTS if not mutant.description.strip()] == []


def test_each_scope_is_known_and_the_suite_ships_its_mutants():
    assert {scope for mutant in mutants.MUTANTS for scope in mutant.scope} == set(SCOPES)
    assert {mutant.scope for mutant in mutants.ADDED} == {("tests",)}


@EACH
def test_each_anchor_matches_one_statement_and_the_edits_change_the_code(mutant):
    for file, (before, after) in edited(mutant).items():
        assert dumped(before) != ast.dump(ast.parse(after)), file


@cache
def dumped(text):
    """Return the syntax tree of a text as a string, which has no comments."""
    return ast.dump(ast.parse(text))


def test_no_mutant_uses_an_undefined_name(tmp_path):
    """A stale name in an edit raises NameError, and any test kills that."""
    texts = {}  # path below tmp_path -> text
    for mutant in mutants.MUTANTS:
        for file, (before, after) in edited(mutant).items():
            texts[f"mutants/{mutant.name}/{file}"] = after
            texts[f"reference/{file}"] = before
    undefined = undefined_names(tmp_path, texts)
    known = {(file.removeprefix("reference/"), name) for file, name in undefined}
    stale = []
    for path, name in sorted(undefined):
        kind, _, subpath = path.partition("/")
        mutant_name, _, file = subpath.partition("/")
        if kind == "mutants" and (file, name) not in known:
            stale.append(f"{mutant_name}: {name}")
    assert stale == []


@pytest.mark.slow
def test_no_mutant_uses_an_unknown_attribute_or_argument():
    """A stale one raises AttributeError or TypeError, and any test kills that."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py"))
    known = {name for tree in trees for name in identifiers(tree)}
    known |= {name for thing in LIBRARIES for name in dir(thing)} | {"LOCK_SH"}  # of Unix alone
    stale = []
    for mutant in mutants.MUTANTS:
        for _, after in edited(mutant).values():
            tree = ast.parse(after)
            stale += [f"{mutant.name}: {name}" for name in sorted(unknown_identifiers(tree, known))]
    assert stale == []


def test_an_unknown_attribute_or_argument_is_found():
    code = "def f(x, *, own):\n    own.known = x.gone\n    return f(x.known, own=1, lost=2)"
    assert unknown_identifiers(ast.parse(code), {"known"}) == {"gone", "lost"}


def identifiers(tree):
    fields = {ast.Attribute: "attr", ast.keyword: "arg", ast.arg: "arg", ast.Name: "id"}
    fields |= {ast.FunctionDef: "name", ast.ClassDef: "name"}
    bound = (getattr(node, fields.get(type(node), ""), None) for node in ast.walk(tree))
    return {name for name in bound if name}


def unknown_identifiers(tree, known):
    """Return the attributes and keyword arguments that are neither known nor bound in a tree."""
    bound = (ast.arg, ast.Name, ast.FunctionDef, ast.ClassDef)
    local = {
        name for node in ast.walk(tree) if isinstance(node, bound) for name in node_names(node)
    }
    return identifiers(tree) - known - local


def node_names(node):
    return {getattr(node, field) for field in ("arg", "id", "name") if hasattr(node, field)}


def test_an_undefined_name_is_found(tmp_path):
    """Also of a local variable that is read before it is assigned."""
    right = "def f(x):\n    y = x\n    return y\n"
    texts = {"right.py": right, "stale.py": right.replace("= x", "= z")}
    texts["early.py"] = "def f():\n    print(x)\n    x = 1\n    return x\nx = 2\n"
    undefined = undefined_names(tmp_path, texts)
    assert {path for path, _ in undefined} == {"stale.py", "early.py"}


def undefined_names(folder, texts):
    """Write files below a folder; return (path, message of ruff) of each undefined name."""
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero"]
    command += ["--select", "F821,F823", "--target-version", "py311", "--output-format", "json"]
    done = run([*command, str(folder)], capture_output=True, text=True, check=True)
    messages = json.loads(done.stdout)
    return {(str(Path(x["filename"]).relative_to(folder)), x["message"]) for x in messages}


@pytest.fixture(scope="module")
def forkserver():
    command = [sys.executable, "-P", "-B", str(REPOSITORY / "tests" / "forkserver.py")]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    with Popen(command, stdin=PIPE, stdout=PIPE, env=env, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_the_tests_pass_without_a_mutant(copy, forkserver, request):
    if not request.config.getoption("--mutants"):
        pytest.skip("run with --mutants")
    code, printed = run_tests(forkserver, copy, "softmax-R2", "")
    assert code in (0, NO_TESTS), printed


def pytest_generate_tests(metafunc):
    """Give the mutants that `--mutants` chooses to the test that kills them; without it, none."""
    if "rule_fingerprint" in metafunc.fixturenames:
        chosen = mutants_to_run(metafunc.config.getoption("--mutants"))
        rows = [pytest.param(mutant, text, id=mutant.name) for mutant, text in chosen]
        metafunc.parametrize(("mutant", "rule_fingerprint"), rows)


def mutants_to_run(option):
    """Return (mutant, fingerprint of its rule) of changed rules and a sample, or of all rules."""
    if not option:
        return []
    catalogue, parts = mutants.of_scope("tests"), {}
    for mutant in catalogue:
        after = [text for _, text in edited(mutant).values()]
        tests = citing_files(mutant.rule, mutant.tests)
        parts.setdefault(mutant.rule, []).append(record.fingerprint(mutant, after, tests))
    fingerprints = {rule: record.hash_of(sorted(of_rule)) for rule, of_rule in parts.items()}
    recorded = {} if option == "all" else record.read()
    chosen = record.to_run(fingerprints, recorded, catalogue, record.head())
    return [(mutant, fingerprints[mutant.rule]) for mutant in catalogue if mutant.name in chosen]


def test_a_mutant_is_killed(mutant, rule_fingerprint, copy, forkserver, record_property):
    texts = edited(mutant)
    try:
        for file, (_, after) in texts.items():
            (copy / "mindref" / file).write_text(after, encoding="utf-8")
        code, printed = run_with_retry(
            lambda: run_tests(forkserver, copy, mutant.rule, mutant.tests)
        )
    finally:
        for file, (before, _) in texts.items():
            (copy / "mindref" / file).write_text(before, encoding="utf-8")
    # 1: tests ran and failed; 2 and more: they did not run
    assert code == 1, f"the tests of {mutant.rule} ended with {code}\n{printed}"
    record_property("killed mutant", [mutant.name, rule_fingerprint])


def run_with_retry(attempt):
    """Run tests, and repeat them once if they took too long: the machine may have been busy."""
    code, printed = attempt()
    if code == TOO_LONG:
        print(f"took too long:\n{printed}", file=sys.stderr)
        code, printed = attempt()
    return code, printed


def mutants_of_rules(*rules):
    """Two mutants of each rule."""
    example = mutants.MUTANTS[0]
    return [example._replace(rule=rule, name=f"{rule}-{i}") for rule in rules for i in (1, 2)]


def test_a_recorded_mutant_runs_again_if_its_rule_changed():
    recorded = {rule: "same" for rule in map(str, range(100))}
    fingerprints = {**recorded, "5": "changed", "new": "same"}
    catalogue = mutants_of_rules(*fingerprints)
    chosen = record.to_run(fingerprints, recorded, catalogue, "commit")
    assert {"5-1", "5-2", "new-1", "new-2"} <= chosen
    assert len(chosen) == 4 + record.SAMPLE, "and a sample of the others"
    assert chosen != record.to_run(fingerprints, recorded, catalogue, "another commit")


def test_a_fingerprint_sees_imports_and_ignores_comments(tmp_path):
    squash = PACKAGE / "ops" / "squash.py"
    reached = record.closure(frozenset([REPOSITORY / "tests" / "ops" / "test_routing.py"]))
    assert {squash, PACKAGE / "shapes.py", REPOSITORY / "conftest.py"} <= reached
    text = squash.read_text(encoding="utf-8")
    assert record.structure_of_text(text) != record.structure_of_text(text.replace("+", "-"))
    documented = text.replace('"""', '"""New: ', 1)
    assert documented != text
    assert record.structure_of_text(text) == record.structure_of_text(documented)
    assert record.structure_of_text("x = 1") == record.structure_of_text("x = 1  # one")


def test_a_rule_is_recorded_if_all_its_mutants_were_killed(tmp_path):
    path = tmp_path / "killed.json"
    catalogue = mutants_of_rules("a", "b", "c", "d")
    record.write({mutant.name: "1" for mutant in catalogue}, set(), catalogue, path)
    assert record.read(path) == dict.fromkeys("abcd", "1")
    killed = {"a-1": "2", "a-2": "2", "b-1": "2", "c-1": "2"}
    record.write(killed, {"b-2"}, mutants_of_rules("a", "b", "c"), path)
    assert record.read(path) == {"a": "2", "c": "1"}, "b has a survivor, c ran in part, d is gone"


def test_commands_and_entry_points_count_as_imports():
    reached = record.closure(frozenset([PACKAGE / "cli" / "__init__.py"]))
    assert PACKAGE / "cli" / "train.py" in reached
    checks = record.closure(frozenset([PACKAGE / "conformance" / "runner" / "check.py"]))
    assert PACKAGE / "conformance" / "checks" / "routing" / "properties.py" in checks
    assert PACKAGE / "kernels" / "backend.py" in record.closure(frozenset([PACKAGE / "backend.py"]))


@pytest.mark.parametrize(
    ("codes", "expected"), [([1, 0], 1), ([TOO_LONG, 1], 1), ([TOO_LONG, TOO_LONG, 1], TOO_LONG)]
)
def test_a_run_that_timed_out_is_repeated_once(codes, expected):
    next_code = iter(codes)
    assert run_with_retry(lambda: (next(next_code), "printed")) == (expected, "printed")


@pytest.mark.slow
def test_a_hanging_run_prints_its_stack(forkserver, tmp_path):
    hangs = "import time\n\ndef test_hangs():\n    time.sleep(60)\n"
    (tmp_path / "test_hangs.py").write_text(hangs, encoding="utf-8")
    code, printed = run_in_fork(forkserver, tmp_path, ["-q", "-p", "no:xdist"], longest=2)
    assert code == TOO_LONG
    assert "(most recent call first)" in printed, "in the test, or before it on a busy machine"


def test_a_run_that_ends_prints_no_stack(forkserver, tmp_path):
    (tmp_path / "test_fails.py").write_text(
        "def test_fails():\n    raise OSError\n", encoding="utf-8"
    )
    code, printed = run_in_fork(forkserver, tmp_path, ["-q", "-p", "no:xdist"], longest=60)
    assert code == 1
    assert "(most recent call first)" not in printed


@pytest.mark.slow
def test_a_failed_comparison_of_long_bytes_ends_within_a_minute_in_ci(tmp_path):
    shutil.copy(REPOSITORY / "conftest.py", tmp_path)
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


def citing_files(rule, folder):
    """Return the test files that cite a rule, in a folder or, without one, outside the kernels.

    Kernels differ from a wrong reference, so the tests of the reference must fail.
    """
    files = sorted(file for file in cited_by_tests()[rule] if file.startswith(folder or "tests/"))
    return files if folder else [file for file in files if not file.startswith(REFERENCE_PEERS)]


def run_tests(forkserver, copy_of_tree, rule, folder):
    """Run the tests that cite a rule on the copy, which is first on the import path.

    Tests marked as slow run only if the others let the mutant survive.
    """
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rule", rule]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis is loaded already
    options += citing_files(rule, folder)
    code, printed = run_in_fork(forkserver, copy_of_tree, options)
    if code in (0, NO_TESTS):
        code, printed = run_in_fork(forkserver, copy_of_tree, ["--all", "-m", "slow", *options])
    return code, printed


def run_in_fork(forkserver, folder, options, **limits):
    """Run tests in a folder; return the exit code and the end of what was printed."""
    out = folder / "printed.txt"
    request = {"folder": str(folder), "options": options, "out": str(out), **limits}
    assert forkserver.stdin is not None
    assert forkserver.stdout is not None
    forkserver.stdin.write(json.dumps(request) + "\n")
    forkserver.stdin.flush()
    code = int(forkserver.stdout.readline())
    return code, out.read_text(encoding="utf-8", errors="replace")[-4000:]
