"""kill -9 at random moments of training, index build, export and bulk recall.

    python -m pytest -q tests/test_random_kills.py --kills 100

Each work is killed at moments drawn over its whole length. What was there before is there after:
the file or folder of old is whole, or the new one is. The same command then ends in the same bytes,
and nothing that a kill has left lies about.
"""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests.killed_commands import CommandServer
from tests.runs import options
from tests.test_process_kill import NAMES

pytestmark = pytest.mark.skipif(
    not hasattr(__import__("signal"), "SIGKILL"), reason="this system has no SIGKILL to survive"
)
FEW = 3  # moments of each work unless more are asked for
Files = dict[str, bytes]


class Work(NamedTuple):
    """What is killed, in a folder with a trained run."""

    words: Callable[[Path], list[str]]  # what a user would type now
    found: Callable[[Path], Files]  # all that it makes, empty where it is not there
    before: Callable[[Path], None] = lambda folder: None  # what lies there already


def files(folder, *names):
    """Return the files of a folder by name, but for hidden ones."""
    some = names or tuple(path.name for path in sorted(folder.glob("*")) if path.is_file())
    some = tuple(name for name in some if name[0] != "." and (folder / name).exists())
    return {name: (folder / name).read_bytes() for name in some}


def train(folder):
    new = ["--data", "shop.inter", "--out", "new"]
    new += options(steps=30, evaluate_every=1, backend="numpy")
    begun = (folder / "new" / "config.json").exists()
    return ["train", "--quiet", *(["--resume", "new"] if begun else new)]


def index(folder):
    """Return the file of the index, and its manifest but for the seconds it was timed with."""
    found = files(folder / "run" / "index")
    if "manifest.json" in found:
        words = json.loads(found["manifest.json"])
        timed = ("figures", "sha256", "mark")  # the seconds, and the digests that hold them
        found["manifest.json"] = json.dumps(
            {k: x for k, x in words.items() if k not in timed}
        ).encode()
    return found


def old_lists(folder):
    (folder / "lists.tsv").write_text("of old\n")


WORKS = {
    "train": Work(train, lambda folder: files(folder / "new", *NAMES)),
    "index": Work(
        lambda folder: ["recall", "run", "--history", "x0001", "--index", "annoy"], index
    ),
    "export": Work(
        lambda folder: ["export", "run", "--to", "onnx", "--output", "out", "--users", "50"],
        lambda folder: files(folder / "out"),
    ),
    "bulk": Work(
        lambda folder: ["recall", "run", "--all-users", "--output", "lists.tsv"],
        lambda folder: files(folder, "lists.tsv"),
        old_lists,
    ),
    "share": Work(
        lambda folder: ["recall", "run", "--all-users", "--shard", "1/2", "--output", "part"],
        lambda folder: files(folder, "part", "part.manifest.json"),
    ),
}


@pytest.fixture(scope="module")
def command_server(tmp_path_factory):
    server = CommandServer(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def place(command_server, tmp_path_factory):
    """A folder with a trained run, called by the same relative names in every copy of it."""
    folder = tmp_path_factory.mktemp("place") / "here"
    folder.mkdir()
    write_synthetic_log(make_synthetic_log(users=200, items=150), folder)
    settings = ["--data", "shop.inter", *options(backend="numpy", width=16)]
    code, said = command_server.run(folder, "train", "--out", "run", "--quiet", *settings)
    assert code == 0, said
    item = (folder / "run" / "items.tsv").read_text().split("\n")[1].split("\t")[0]
    (folder / "item").write_text(item)
    return folder


def called(work, folder):
    """Return the words of a work, its item one that the run knows."""
    item = (folder / "item").read_text()
    return [item if word == "x0001" else word for word in work.words(folder)]


@pytest.mark.rules("faults-R3")
@pytest.mark.parametrize("name", WORKS)
@pytest.mark.slow
def test_killed_at_random_moments(name, command_server, place, tmp_path, request, record_property):
    asked = request.config.getoption
    many = asked("--kills") or (20 if asked("--kill") else FEW)
    work, hit = WORKS[name], 0
    folder = tmp_path / "here"  # always the same: a run names the place of its log
    shutil.copytree(place, folder)
    work.before(folder)
    old = work.found(folder)
    started = time.perf_counter()
    code, said = command_server.run(folder, *called(work, folder))
    seconds = time.perf_counter() - started
    assert code == 0, said
    expected, names = work.found(folder), everything(folder)
    rng = random.Random(name)
    for moment in range(many):
        shutil.rmtree(folder)
        shutil.copytree(place, folder)
        work.before(folder)
        after = (moment + rng.random()) / many * seconds
        code, said = command_server.run(folder, *called(work, folder), after=after)
        assert code in (0, -9), said
        hit += code == -9
        check_between(name, work.found(folder), old, expected)
        if name != "export" or not work.found(folder):
            code, said = command_server.run(folder, *called(work, folder))
            assert code == 0, (moment, said)
        assert work.found(folder) == expected, f"moment {moment} of {many}"
        assert everything(folder) == names, f"moment {moment} of {many}"
        if many > FEW and (moment + 1) % 10 == 0:
            print(f"{name}: {hit} of {moment + 1} kills came before the end", flush=True)
    record_property("killed", hit)
    print(f"\n{name}: {hit} of {many} kills came before the end ({seconds:.2f} s undisturbed)")
    assert hit > 0


def everything(folder):
    """Return the names of all that lies in a folder, temporary files and locks among them."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_between(name, found, old, new):
    """Every file that is there is that of before or that of after, whole."""
    if name == "train":  # its state moves on; what it holds is proved by where it ends
        return
    for file, data in found.items():
        assert data in (old.get(file), new.get(file)), f"{file} is half of something"
    if name == "export":
        assert found in ({}, new), "a folder is there whole or not at all"
