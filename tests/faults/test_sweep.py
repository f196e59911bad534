"""Calls that fail, full disks, kills and damaged files: a right result, or exit code 2."""

import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.faults import commands
from tests.faults.commands import COMMANDS, READ_ONLY, READING, READS, Done, Fault, Workplace
from tests.faults.damage import damages_of_file
from tests.runs import environment, train_small_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts the calls by /proc")
MODES = ("error", "full", "kill")
CALLS, FILES = 3, 7  # that fail, and that are damaged, in a sample of a command
OFFSETS = 4  # of each file, at which it is cut and at which a bit is flipped
MODELS = ("mind", "mind_plus", "youtube_dnn", "maxmf", "item_knn")


@pytest.fixture(scope="module")
def place(tmp_path_factory, request):
    """Runs commands; the run in their folder has the model of the parameter."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(MINDREF_THREADS="1").items():
            patch.setenv(name, value)
        yield Workplace(tmp_path_factory.mktemp("place"), getattr(request, "param", "mind"))


@pytest.mark.rules("faults-R1", "faults-R2", "faults-R3", "faults-R8", "faults-R18")
@pytest.mark.slow(every=40, start=7)
@pytest.mark.parametrize(
    ("mode", "name"),
    [(mode, x) for x in COMMANDS for mode in MODES if mode == "error" or x not in READ_ONLY],
)
def test_no_failing_call_has_a_wrong_outcome(place, mode, name, request):
    before = commands.read_files(place.renew())
    place.run(name)  # compile all functions before calls are counted
    place.renew()
    done = place.run(name)
    assert done.code == 0, done.err
    after = commands.read_files(place.folder)
    can_fail = [i for i, x in enumerate(done.calls, 1) if mode == "error" or x not in READING]
    step = 1 if request.config.getoption("--sweep") else -(-len(can_fail) // CALLS)
    faults = [Fault(mode, at) for at in can_fail[step // 2 :: step]]
    assert faults
    wrong = {fault: commands.judge_call(place, name, fault, before, after) for fault in faults}
    wrong = {(x, done.calls[x.at - 1]): reason for x, reason in wrong.items() if reason}
    print(f"{name}, {mode}: {len(faults)} of {len(can_fail)} calls")
    assert wrong == {}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Runs with files of the same names: description -> changed settings."""
    folder = tmp_path_factory.mktemp("others")
    changes = {"of another seed": {"seed": 5}, "of another width": {"width": 4}}
    return {x: train_small_run(folder / x, **change) for x, change in changes.items()}


def damaged_files(template, others, name):
    """Return file, description of the damage and damage, for each file that a command reads."""
    (folder,) = [folder for folder, names in READS.items() if name in names]
    damaged = []
    for path in sorted((template / folder).rglob("*")):
        if path.is_file() and path.name != ".lock":
            changes = damages_of_file(path, OFFSETS)
            if folder != "din" and path.parent.name != "index":
                inner = path.relative_to(template / folder)
                changes |= {x: partial(shutil.copy, run / inner) for x, run in others.items()}
            file = str(path.relative_to(template))
            damaged += [(file, x, change) for x, change in changes.items()]
    return damaged


def judge_damaged_files(place, others, name, whole):
    """Run a command for each damaged file, or for a sample of them; return the wrong outcomes."""
    place.renew()
    expected = place.run(name)
    assert expected.code == 0, expected.err
    damaged = damaged_files(place.template, others, name)
    chosen = damaged[:: 1 if whole else len(damaged) // FILES]
    assert len(chosen) >= FILES
    wrong = []
    for file, description, damage in chosen:
        damage(place.renew() / file)
        reason = commands.judge_damage(place.run(name), expected, file, description)
        wrong += [(file, description, reason)] if reason else []
    print(f"{name}: {len(chosen)} damaged files")
    return wrong


@pytest.mark.rules("security-R1", "faults-R18")
@pytest.mark.parametrize("name", [name for names in READS.values() for name in names])
@pytest.mark.slow(every=7)
def test_a_damaged_file_gives_the_same_answer_or_is_named(place, others, name, request):
    whole = request.config.getoption("--sweep")
    assert judge_damaged_files(place, others, name, whole) == []


@pytest.mark.sweep
@pytest.mark.parametrize("place", MODELS[1:], indirect=True)
@pytest.mark.parametrize("name", ["serve", "resume"])
def test_a_damaged_file_of_each_family_is_found(place, name):
    assert judge_damaged_files(place, {}, name, True) == []


@pytest.mark.rules("faults-R1")
@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_stream_on_a_full_disk(place, stream):
    words = [sys.executable, "-m", "mindref", "recall", "run", "--all-users"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run(words, cwd=place.renew(), env=environment(), text=True, **streams)
    if stream == "stderr":
        assert done.returncode == 0
        return
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard output: expected a writable location")
    assert "No space left on device; check" in done.stderr


@pytest.mark.parametrize(
    ("mode", "code", "err", "content", "reason"),
    [
        ("error", 70, "Error: bug", {"a": b"1"}, "exit code 70: Error: bug"),
        ("error", 2, "Traceback", {"a": b"1"}, "a traceback: Traceback"),
        ("full", 2, "Error: x", {"a": b"1"}, "no reason: Error: x"),
        ("error", 2, "Error: x", {}, "lost: ['a']"),
        ("error", 2, "Error: x", {"a": b"1", ".b.tmp": b""}, "left behind: ['.b.tmp']"),
        ("kill", -signal.SIGKILL, "", {"a": b"x"}, "incomplete: ['a']"),
        ("error", 0, "", {"a": b"1"}, "exit code 0 with other files: ['a']"),
        ("kill", -signal.SIGKILL, "", {"a": b"1", ".b.tmp": b""}, ""),
    ],
)
def test_a_wrong_outcome_is_found(mode, code, err, content, reason):
    done, before, after = Done(code, "", err, []), {"a": b"1"}, {"a": b"2"}
    assert commands.broken_promise("bulk", mode, done, content, before, after) == reason


def test_a_wrong_answer_after_damage_is_found():
    expected = Done(0, "1", "", [])
    for done, reason in (
        (Done(0, "2", "", []), "another answer: 2"),
        (Done(2, "", "Error: run/config.json: damaged; train anew", []), "names another file"),
        (Done(2, "", "Error: run/items.tsv: damaged", []), "does not say what to do"),
    ):
        assert commands.judge_damage(done, expected, "run/items.tsv", "half").startswith(reason)
