"""The catalogue of mutants is consistent, and a mutant counts as killed only if a test fails.

`python -m pytest -q --mutants` runs the mutants (tests/mutants/plugin.py).
"""

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
from subprocess import run

import numpy as np
import pytest

from mindref.conformance.mutants import anchors
from mindref.conformance.mutants.loader import SCOPES, Edit
from mindref.conformance.runner.check import all_checks
from mindref.kernels import squash as compiled_squash
from mindref.models import maxmf
from mindref.ops import squash
from mindref.study import ambiguities
from mindref.study.variants import entries
from tests import mutants
from tests.mutants import selection
from tests.mutants.forks import Job, run_in_forks
from tests.mutants.replacement import replace_code
from tests.test_mirror import cited_by_tests

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "mindref"
LIBRARIES = (np, np.linalg, np.random.Generator, np.ndarray, str, bytes, dict, list, datetime, Path)
LIBRARIES += (json, math, os, shutil, stat, threading, time)
"""Objects whose attributes a mutant may use although the package does not."""

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


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


def test_each_mutant_breaks_a_rule_that_its_tests_or_checks_cite():
    checked = {rule for check in all_checks() for rule in check.rules}
    assert {mutant.rule for mutant in mutants.of_scope("suite")} == checked, "each checked rule"
    assert {mutant.rule for mutant in mutants.of_scope("tests")} <= cited_by_tests().keys()


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


def test_each_anchor_matches_one_statement_and_the_edits_change_the_code():
    offenders = []
    for mutant in mutants.MUTANTS:
        try:
            texts = edited(mutant)
        except (ValueError, OSError) as error:
            offenders.append(f"{mutant.name}: {error}")
            continue
        for file, (before, after) in texts.items():
            if dumped(before) == ast.dump(ast.parse(after)):
                offenders.append(f"{mutant.name}: the edits do not change {file}")
    assert offenders == []


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


PLANTED = """
import time

import pytest


@pytest.fixture
def broken():
    raise OSError("a fixture")


def test_passes():
    pass


def test_fails():
    assert 1 + 1 == 3


def test_has_a_broken_fixture(broken):
    pass


def test_hangs():
    time.sleep(60)


def test_exits():
    import os

    os._exit(3)
"""
RUN = """
from tests.mutants.forks import Job, run_in_forks
from tests.mutants.plugin import capture_of, first_failure


def pytest_runtestloop(session):
    capture_of(session).stop_global_capturing()
    jobs = [Job(item.name, lambda item=item: first_failure([item])) for item in session.items]
    for ended in run_in_forks(jobs, longest=5):
        print(f"{ended.job.name} -> {ended.result}", *ended.output.splitlines(), sep="\\n  ")
    return True
"""


def test_only_a_test_that_fails_kills_a_mutant(tmp_path):
    """A broken fixture, a test that takes too long and the end of the process are no kills."""
    (tmp_path / "test_planted.py").write_text(PLANTED, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(RUN, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = run([*command, str(tmp_path)], env=env, capture_output=True, text=True, check=False)
    parts = re.split(r"^(test_\w+) -> (.*)$", done.stdout, flags=re.M)
    results = dict(zip(parts[1::3], parts[2::3], strict=True))
    outputs = dict(zip(parts[1::3], parts[3::3], strict=True))
    assert results == {
        "test_passes": "",
        "test_fails": "test_planted.py::test_fails",
        "test_has_a_broken_fixture": "",
        "test_hangs": "None",
        "test_exits": "None",
    }, done.stdout + done.stderr
    assert "none of 1 tests failed" in outputs["test_passes"]
    assert (
        "setup of test_planted.py::test_has_a_broken_fixture"
        in outputs["test_has_a_broken_fixture"]
    )
    assert "took too long" in outputs["test_hangs"]
    assert "in test_hangs" in outputs["test_hangs"], "its stack"
    assert "ended with exit code 3" in outputs["test_exits"]


def mutant_with(file, anchor, text):
    example = mutants.of_scope("tests")[0]
    return example._replace(name="planted", edits=(Edit(file, anchor, text),))


def in_fork(mutant, compute):
    """Return what a function returns in a fork that runs the code of a mutant."""

    def job():
        replace_code(mutant)
        return str(compute())

    (ended,) = run_in_forks([Job("planted", job)])
    assert ended.result is not None, ended.output
    return ended.result


X = np.array([[3.0, 4.0]])


def compiled_slopes():
    return compiled_squash.forward(X)[1].across


@pytest.mark.parametrize(
    ("file", "anchor", "text", "compute"),
    [
        ("ops/squash.py", "forward: return 3", "return 0 * x, None", lambda: squash.forward(X)[0]),
        # a constant that another module imported
        ("models/foldin.py", "module: LONGEST =", "LONGEST = 7", lambda: maxmf.LONGEST),
        # a function that is compiled into the functions that call it
        ("kernels/squash.py", "squash_row: return 2", "return x[0], x[0]", compiled_slopes),
    ],
)
def test_the_code_of_a_mutant_replaces_the_code_of_the_package(file, anchor, text, compute):
    before = str(compute())
    assert in_fork(mutant_with(file, anchor, text), compute) != before
    assert str(compute()) == before


def test_a_mutant_whose_code_cannot_be_replaced_is_an_error():
    planted = mutant_with("ops/squash.py", "Saved: docstring", "limit = 1")
    with pytest.raises(ValueError, match="no function Saved can be replaced"):
        replace_code(planted)


@pytest.mark.parametrize(
    "file", ["tests/ops/test_squash.py", "mindref/conformance/checks/squash.py"]
)
def test_the_mutants_of_the_rules_of_a_changed_file_are_chosen(file, monkeypatch):
    git = selection.git
    monkeypatch.setattr(selection, "git", lambda *x: file if x[0] == "diff" else git(*x))
    changes = selection.Changes("HEAD")
    chosen = {mutant.rule for mutant in mutants.MUTANTS if changes.concern(mutant)}
    assert chosen & changes.rules[file]


def test_changed_bounds_of_the_suite_choose_a_sample_of_its_mutants(monkeypatch):
    git, file = selection.git, "mindref/conformance/bounds/sums.py"
    shown = f"HEAD:{file}"
    monkeypatch.setattr(
        selection,
        "git",
        lambda *x: file if x[0] == "diff" else "def removed(): pass" if x[1] == shown else git(*x),
    )
    assert len(selection.Changes("HEAD").sample) > 20


def test_a_mutant_runs_again_if_its_function_changed():
    text = (PACKAGE / "ops" / "squash.py").read_text(encoding="utf-8")
    before = selection.edited_code(text, "forward: return")
    commented = text.replace("# 4", "# step 4")
    assert commented != text
    assert selection.edited_code(commented, "forward: return") == before
    renamed = text.replace("def forward(x", "def forward(y")
    assert selection.edited_code(renamed, "forward: return") != before


def test_all_mutants_run_without_a_commit_to_compare_with(monkeypatch):
    monkeypatch.setattr(selection, "git", lambda *arguments: "")
    assert selection.select_mutants("changed") == ("all", list(mutants.MUTANTS))


def test_a_mutant_is_chosen_by_its_name():
    title, (mutant,) = selection.select_mutants("softmax-base-two")
    assert (title, mutant.name) == ("named softmax-base-two", "softmax-base-two")
    with pytest.raises(pytest.UsageError, match="no mutant has"):
        selection.select_mutants("no-such-mutant")
