"""An installed package with an index plugin: it is found, listed, built and opened."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import call, trained

PLUGIN = Path(__file__).parent.parent / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The PYTHONPATH of a process in which the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "plugin"  # pip builds where the source is
    shutil.copytree(PLUGIN, source)
    options = ["--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return os.pathsep.join([str(folder), str(PLUGIN.parent.parent)])


@pytest.mark.rules("recall-R28", "recall-R29")
@pytest.mark.slow
def test_the_example_plugin_is_listed(installed, tmp_path):
    done = call("indexes", "--json", cwd=tmp_path, PYTHONPATH=installed)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["buckets"]["version"] == "mindref-example 0.1.0"
    assert rows["buckets"]["order"] is None
    assert not rows["buckets-broken"]["usable"]
    assert "a_framework_that_is_not_installed" in rows["buckets-broken"]["reason"]
    assert rows["annoy"]["usable"]


@pytest.mark.rules("recall-R28")
@pytest.mark.slow
def test_the_example_plugin_equals_exact_search(installed, tmp_path):
    run, lists = trained(tmp_path / "run"), []
    for kind in ("exact", "buckets", "buckets"):
        words = ["recall", run, "--all-users", "--index", kind, "--top", "5"]
        done = call(*words, cwd=tmp_path, PYTHONPATH=installed)
        assert done.returncode == 0, done.stderr
        lists.append(done.stdout)
        assert ("approximate search by buckets: it finds" in done.stderr) == (kind == "buckets")
    assert lists[1] == lists[2], "built, and opened"
    exact, found = (set(text.splitlines()) for text in lists[:2])
    assert len(exact & found) / len(exact) >= 0.9
    done = call("recall", run, "--all-users", "--index", "buckets", cwd=tmp_path)
    assert done.returncode == 2
    assert "--index: expected auto or exact or annoy" in done.stderr
    broken = ["recall", run, "--all-users", "--index", "buckets-broken"]
    done = call(*broken, cwd=tmp_path, PYTHONPATH=installed)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "index buckets-broken: expected an answer when importing it" in done.stderr
