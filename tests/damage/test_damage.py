"""For any damage of a file of a run: the same answer, or an error that names the file."""

import json
import subprocess
import sys

import pytest

from tests.damage.sweep import MAKE, OTHER_ANSWER, Outcome, sweep
from tests.runs import REPOSITORY, environment

OFFSETS = 60  # of each file, at which it is truncated and at which a bit is flipped
SAMPLES = {"mind": 97, "din": 43, "shards": 7}
"""Folders of which a sample is always tested: name -> one of how many queries."""


def lines(wrong):
    return "\n".join(map(str, wrong))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.slow(every=3)
def test_a_sample_of_damaged_files_is_same_or_named(name, tmp_path):
    outcomes = list(sweep(MAKE[name](tmp_path), tmp_path / "copies", 2, every=SAMPLES[name]))
    assert len(outcomes) > 8
    assert lines([x for x in outcomes if not x.is_right]) == ""
    assert "named" in {x.end for x in outcomes}


def sweep_in_child(name, folder, count, kind, every):
    """Sweep in a child process, because a pipe may hang it and a huge file may kill it."""
    command = [sys.executable, "-m", "tests.damage.sweep", name, str(folder), str(count), kind]
    options = {"cwd": REPOSITORY, "env": environment(), "capture_output": True, "text": True}
    done = subprocess.run([*command, str(every)], check=False, timeout=4000, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    return summary


@pytest.mark.slow
def test_a_sample_of_files_that_may_hang_or_take_memory(tmp_path):
    summary = sweep_in_child("mind", tmp_path, 1, "hazards", 17)
    assert summary["right"] > 5
    assert lines(summary["wrong"]) == ""


@pytest.mark.damage
@pytest.mark.parametrize("kind", ["usual", "hazards"])
@pytest.mark.parametrize("name", MAKE)
def test_every_damaged_file_is_same_or_named(name, kind, tmp_path):
    summary = sweep_in_child(name, tmp_path, OFFSETS, kind, 1)
    print(f"{name}, {kind}: {summary['right']} right")
    assert summary["right"] > 20
    assert lines(summary["wrong"]) == ""


def test_a_wrong_outcome_is_detected():
    ends = ("same", "named", "ANOTHER ANSWER", "KeyError: 3")
    right = [Outcome("mind", "items.tsv", "missing", "serve", end).is_right for end in ends]
    assert right == [True, True, False, False]
    for file, _ in OTHER_ANSWER:
        assert not Outcome("mind", file, "a folder", "serve", "ANOTHER ANSWER").is_right
