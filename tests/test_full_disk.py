"""A full disk or a kill at every write: the state of before survives, and one goes on.

With --kill all operations of all commands fail, one in each attempt. Without it a sample fails. A
killed command is also killed before each rename, and a short one before every operation.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mindref.cli import main
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from mindref.recommender import export
from tests.cli.conftest import Cli
from tests.cli.test_export import register_exporter
from tests.full_disk import Disk
from tests.numpy_exporter import Writer
from tests.recall.annoy_trees import INDEX
from tests.runs import call, environment, options

pytestmark = pytest.mark.slow

FEW = 5  # operations of each command that fail without --kill
TINY = options(steps=2, evaluate_every=1, backend="numpy")
Files = dict[str, bytes]
WORKS = {
    "train": ["train", "--data", "shop.inter", "--out", "new", *TINY],
    "resume": ["train", "--resume", "run"],
    "index": ["recall", "run", "--history", "ITEM", "--index", INDEX],
    "bulk": ["recall", "run", "--all-users", "--output", "lists.tsv"],
    "share": ["recall", "run", "--all-users", "--shard", "1/2", "--output", "part"],
    "export": ["export", "run", "--to", "onnx", "--output", "out", "--users", "20"],
    "vectors": [
        "export", "run", "--to", "vectors", "--format", "npy", "--all-users", "--output", "out",
    ],
    "evaluate": ["evaluate", "run", "--predictions", "ranked.tsv"],
    "compare": [
        "compare", "shop.inter", "--models", "popularity,random", "--seeds", "1",
        "--out", "arms", "--markdown", "tables.md", "--metric", "hit_rate@10",
    ],
}  # fmt: skip
LOCKED_ONCE = ("index", "bulk", "share", "export", "vectors", "compare")
"""Works that, called again, do not lock each folder again: a complete one is read."""
TIMED = ("manifest.json", "experiment.json", "compare.json", "tables.md")  # seconds stand in them


def is_hidden(name):
    return any(part.startswith(".") for part in Path(name).parts)


def files(folder):
    """Return all files below a folder, hidden ones too. A file with seconds in it is b""."""
    found = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = b"" if path.name in TIMED else path.read_bytes()
        if path.name in TIMED and path.suffix == ".json" and not is_hidden(name):
            json.loads(path.read_text())  # complete
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a log and a trained run, with files that are to be replaced."""
    folder = tmp_path_factory.mktemp("place") / "here"
    folder.mkdir()
    write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
    done = call("train", "--data", "shop.inter", "--out", "run", *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "lists.tsv").write_text("of old\n")
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """Return what makes a fresh copy of the place, in which commands are called."""
    register_exporter(monkeypatch, Writer(), *export.KINDS)
    folder = tmp_path / "here"

    def fresh():
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(place, folder)
        monkeypatch.chdir(folder)
        return folder

    return fresh


def words_now(name, folder):
    """Return what a user would type: a training that has begun is gone on with."""
    if name == "train" and (folder / "new" / "config.json").exists():
        return ["train", "--resume", "new"]
    item = (folder / "run" / "items.tsv").read_text().split("\n")[1].split("\t")[0]
    return [item if word == "ITEM" else word for word in WORKS[name]]


def refused(name, folder, number, capfd):
    """Call a work while the disk is full from an operation on, and look at what it says."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(folder, number)
        disk.mount(patch)
        said = Cli(capfd)(*words_now(name, folder))
    if not number or not disk.failed:
        assert said.code == 0, said.err
    elif said.code == 0:  # what can be done without: a lock, an index, the fsync of a folder
        assert set(disk.failed) <= {"open", "fsync"} or "No index is kept" in said.err, said.err
    else:
        assert said.code == 2, said.err
        last = said.err.splitlines()[-1]
        assert "No space left on device; check that the folder exists" in last
        places = ("new", "run", "arms", "out", "lists.tsv", "part", "ranked.tsv", "tables.md")
        assert str(folder) in last or last.startswith(tuple(f"Error: {x}" for x in places))
    return disk


def killed(name, folder, number):
    words = words_now(name, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of pytest-xdist
        child = os.fork()
    if child == 0:
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            Disk(folder, number, kill=True).mount(pytest.MonkeyPatch())
            main(words)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, number


@pytest.mark.rules("faults-R1", "faults-R2", "faults-R3", "faults-R8")
@pytest.mark.parametrize(
    ("fault", "name"), [(fault, name) for fault in ("full", "killed") for name in WORKS]
)
@pytest.mark.slow(every=16)
def test_a_fault_at_every_operation(fault, name, here, capfd, request):
    folder = here()
    before = files(folder)
    whole = refused(name, folder, 0, capfd)
    after = files(folder)
    count = len(whole.kinds)
    assert count >= 4, "it writes something"
    numbers = range(1, count + 1)
    is_short = fault == "killed" and count < 30
    if not is_short and not request.config.getoption("--kill"):
        renames = {n for n in numbers if whole.kinds[n - 1] == "replace" and fault == "killed"}
        numbers = sorted(renames.union(range(1, count + 1, -(-count // FEW))))
    for number in numbers:
        folder = here()
        if fault == "killed":
            killed(name, folder, number)
        else:
            assert refused(name, folder, number, capfd).failed, f"{number} of {count}"
        for path, data in files(folder).items():
            hidden = is_hidden(path)
            assert not hidden or fault == "killed", f"{path} is left, from {number} on"
            is_state = name in ("train", "resume")
            assert is_state or hidden or data in (before.get(path), after.get(path)), path
        assert set(before) <= set(files(folder)), "nothing of before is lost"
        if name not in ("export", "vectors") or not (folder / "out").exists():
            said = Cli(capfd)(*words_now(name, folder))
            assert said.code == 0, (number, said.err)
        locks = list(folder.rglob("*.lock")) if name in LOCKED_ONCE else []
        assert len(locks) <= 1
        for path in locks:
            path.unlink()  # of a folder that the killed process had completed
        assert files(folder) == after, f"after operation {number} of {count}"
    print(f"\n{name}: {len(numbers)} of {count} operations, {fault}")


@pytest.mark.rules("faults-R1")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_on_a_full_disk(place, stream):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = [sys.executable, "-m", "mindref", "recall", str(place / "run"), "--all-users"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run(words, env=environment(), text=True, check=False, **streams)
    if stream == "stderr":
        assert done.returncode == 0
        return
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard output: expected a writable location")
    assert "No space left on device; check" in done.stderr
