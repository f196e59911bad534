"""A build of Annoy with wrong results, or that kills the process, is detected before use."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.list_requests import recalled
from tests.recall.annoy_trees import needs_annoy
from tests.runs import HISTORIES, REPOSITORY, call, train_small_run

pytestmark = [pytest.mark.slow, needs_annoy]

BUILDS = {
    "one neighbour": "return [0]",
    "any neighbours": "return list(range(n))",
    "nothing": "return []",
    "abort": "os.abort()",
    "segfault": "os.kill(os.getpid(), 11)",
}
QUICK = {("one neighbour", True), ("abort", True)}
CASES = [
    pytest.param(build, there, marks=() if (build, there) in QUICK else pytest.mark.sweep)
    for there in (True, False)
    for build in BUILDS
]
MODULE = """
import os
class AnnoyIndex:
    def __init__(self, width, metric): self.count = 0
    def set_seed(self, seed): pass
    def add_item(self, i, vector): self.count = i + 1
    def build(self, trees, jobs=1): pass
    def load(self, path): raise SystemExit("a garbage build must not load " + path)
    def save(self, path): open(path, "w").write("garbage")
    def get_n_items(self): return self.count
    def get_n_trees(self): return 1
    def get_nns_by_item(self, i, n, nodes=-1): {answer}
    def get_nns_by_vector(self, vector, n, nodes=-1): {answer}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose index was made by a correct build."""
    run = train_small_run(tmp_path_factory.mktemp("garbage") / "run")
    recalled(run, history=HISTORIES[0], index="annoy")
    return run


def asked(run, kind, folder):
    """Recall in a child process with the Annoy of this folder, if any. Return lists and stderr."""
    path = os.pathsep.join(map(str, [folder, REPOSITORY] if folder else [REPOSITORY]))
    words = ("recall", run, "--history", ",".join(HISTORIES[0]), "--index", kind, "--json")
    done = call(*words, cwd=run, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    return [x["item"] for x in json.loads(done.stdout)[0]["items"]], done.stderr


def exactly(run):
    """Return the lists of exact search."""
    (found,) = recalled(run, history=HISTORIES[0], index="exact")
    return [x.item for x in found.items]


@pytest.mark.rules("recall-R24")
@pytest.mark.parametrize(("build", "there"), CASES)
def test_a_broken_build_is_detected_at_first_use(finished, tmp_path, build, there):
    """With an index of another machine, or with none."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    if not there:
        shutil.rmtree(run / "index")
    before = {x.name: x.read_bytes() for x in run.glob("index/*")}
    (tmp_path / "annoy.py").write_text(MODULE.format(answer=BUILDS[build]))
    found, said = asked(run, "annoy", tmp_path)
    assert found == exactly(run)
    assert said.startswith("annoy does not work here: its self-test failed (")
    assert said.endswith("); exact search is used\n")
    assert said.count("\n") == 1, "one line"
    if there:
        now = {x.name: x.read_bytes() for x in run.glob("index/*")}
        assert now == before, "the index of the other machine stays"


def test_a_correct_build_passes_the_self_test(finished):
    assert sys.modules["annoy"].__file__ is not None
    found, said = asked(finished, "annoy", None)
    assert found == exactly(finished)
    assert said.startswith("approximate search by annoy: it finds ")
