"""Shards are merged only if they are whole, complete and of one recall."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mindref.errors import ConfigError, RunError
from mindref.recall import shard_file
from mindref.run import files as run_files
from tests.list_requests import write_lists
from tests.runs import trained


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A folder with the three shards of a recall; copy it to change it."""
    folder = tmp_path_factory.mktemp("shards")
    run = trained(folder / "run")
    for i in (1, 2, 3):
        write_lists(run, folder / f"shard-{i}", shard=(i, 3), block=7)
    return folder


@pytest.fixture
def folder(three, tmp_path):
    return Path(shutil.copytree(three, tmp_path / "shards"))


def files(folder, *numbers):
    return [folder / f"shard-{i}" for i in numbers or (1, 2, 3)]


def change(shard_path, **facts):
    """Change facts of a manifest, with the digest of the changed facts; None removes one."""
    path = shard_file.manifest_path(shard_path)
    changed = {**json.loads(path.read_text()), **facts}
    changed = {name: x for name, x in changed.items() if x is not None}
    path.write_text(json.dumps(run_files.sealed(changed)))


def refused(paths, folder, message):
    """Merging raises this and leaves the file that was there."""
    output = folder / "merged"
    output.write_text("as it was")
    with pytest.raises(RunError, match=message):
        shard_file.merge_shards(paths, output)
    assert output.read_text() == "as it was"
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.rules("recall-R37")
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1, 3), r"--merge: expected all 3 shards, got 2, without 2; recall --shard 2/3"),
        ((2,), "got 1, without 1, 3"),
        ((1, 2, 2, 3), "shard 2 of 3: expected one file, got .*shard-2 and .*shard-2"),
    ],
)
def test_missing_and_doubled_shards_are_named(folder, numbers, message):
    refused(files(folder, *numbers), folder, message)
    change(folder / "shard-1", shard=[1, 10**12])  # refused as quickly
    expected = "expected all 1000000000000 shards, got 1, without 2, 3, 4, 5"
    refused(files(folder, 1), folder, expected)


@pytest.mark.rules("recall-R37")
@pytest.mark.parametrize("damage", ["cut", "longer", "changed", "missing"])
def test_a_damaged_shard_is_named(folder, damage):
    shard_path = folder / "shard-2"
    whole = shard_path.read_bytes()
    if damage == "missing":
        shard_path.unlink()
    else:
        bad = {"cut": whole[:-9], "longer": whole + b"\n", "changed": whole[:-2] + b"x\n"}
        shard_path.write_bytes(bad[damage])
    message = "no file" if damage == "missing" else "expected sha256 [0-9a-f]{64}, got"
    refused(files(folder), folder, rf"shard-2: .*{message}")
    with pytest.raises(RunError, match=message):  # before a byte is written, too
        shard_file.verify_shard(shard_path)


@pytest.mark.rules("recall-R37", "recall-R49")
@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("model", "0" * 64),
        ("step", 99),
        ("log", "0" * 64),
        ("users", 61),
        ("backend", "numpy"),
        ("device", "cuda"),
        ("index", {"kind": "annoy"}),
        ("top", 21),
        ("exclude_seen", False),
        ("only", "0" * 64),
        ("exclude", "0" * 64),
        ("per_interest", 3),
        ("form", "jsonl"),
        ("block", 8),
        ("mindref", "9.9"),
        ("shard", [2, 4]),
    ],
)
def test_a_shard_of_another_recall_is_named_with_what_differs(folder, fact, value):
    change(folder / "shard-2", **{fact: value})
    refused(files(folder), folder, rf"shard-2: {fact}.*: expected .*, as of .*shard-1, got ")


def test_a_missing_manifest_is_an_error(folder):
    shard_file.manifest_path(folder / "shard-2").unlink()
    refused(files(folder), folder, "the manifest of a shard of a bulk recall, got no file")


@pytest.mark.rules("recall-R37")
@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format": 9}, "format: expected "),
        ({"format": 1, "device": None}, "format: expected 4, got 1; recall it again"),
        ({"top": "many"}, "top: expected "),
        ({"index": []}, "index: expected "),
        ({"shard": {}}, "shard: expected "),
        ({"index": {"kind": json.loads("[" * 400 + "]" * 400)}}, "index: expected texts and num"),
        *(({"shard": shard}, r"shard(\[0\])?: expected ") for shard in ([0, 3], [4, 3], ["1", 3])),
    ],
)
def test_an_invalid_fact_is_an_error(folder, facts, message):
    change(folder / "shard-1", **facts)
    refused(files(folder), folder, f"shard-1.*: {message}")


def test_manifests_are_passed_over_and_nothing_and_itself_cannot_be_merged(folder):
    shard_file.merge_shards(sorted(folder.glob("shard-*")), folder / "merged")
    header, *rows = (folder / "merged").read_text().splitlines()
    assert header.startswith("user\t")
    assert len(rows) == 60 * 20
    with pytest.raises(ConfigError, match="--merge: expected the shard files, got none"):
        shard_file.merge_shards([], folder / "merged")
    for output in (folder / "shard-1", shard_file.manifest_path(folder / "shard-2")):
        with pytest.raises(ConfigError, match="--output: expected another file than the shards"):
            shard_file.merge_shards(files(folder), output)
    assert shard_file.verify_shard(folder / "shard-2")


@pytest.mark.rules("recall-R37", "security-R1")
def test_a_manifest_that_was_changed_by_hand_is_an_error(folder):
    """The same change in each manifest; the head of another format would be in the file twice."""
    for path in map(shard_file.manifest_path, files(folder)):
        path.write_text(path.read_text().replace('"form": "tsv"', '"form": "jsonl"'))
    refused(files(folder), folder, "shard-1.*: expected the manifest .*changed by hand; recall it")


@pytest.mark.rules("recall-R37")
def test_a_shard_without_the_head_of_its_format_is_an_error(folder):
    data = b"an" + (folder / "shard-1").read_bytes()[2:]
    (folder / "shard-1").write_bytes(data)
    change(folder / "shard-1", file_sha256=hashlib.sha256(data).hexdigest())
    refused(files(folder), folder, "shard-1: expected the head of a file of the format tsv")


@pytest.mark.rules("recall-R37")
@pytest.mark.parametrize("change", [lambda whole: whole[:50], lambda whole: b"X" + whole[1:]])
def test_a_file_that_changes_while_it_is_joined_is_an_error(folder, monkeypatch, change):
    original = shard_file.verify_shard

    def changing(path):
        found = original(path)
        if path.name == "shard-3":
            shard_path = folder / "shard-2"
            shard_path.write_bytes(change(shard_path.read_bytes()))
        return found

    monkeypatch.setattr(shard_file, "verify_shard", changing)
    with pytest.raises(RunError, match=r"shard-2: expected sha256 [0-9a-f]{64}, got other bytes"):
        shard_file.merge_shards(files(folder), folder / "merged")
    assert not (folder / "merged").exists()
