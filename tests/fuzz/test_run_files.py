"""Run files with any values: a file is read or refused, and no other file is opened."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.config import Config
from mindref.recall import build_index, open_index, shard_file
from mindref.run import items
from mindref.run.array_files import FORMAT, load_arrays, save_arrays
from mindref.run.checkpoint import load_config
from mindref.run.items import Items
from tests.fuzz.damage import several
from tests.fuzz.outcome import outcome
from tests.fuzz.values import spoiled
from tests.runs import trainer

VECTORS = np.arange(12, dtype=np.float32).reshape(6, 2)


def write_shard(path):
    fields = {
        **{"format": shard_file.FORMAT, "exclude_seen": True},
        **{"index": {"kind": "exact"}, "shard": [1, 2], "form": "tsv", "block": 8},
        **dict.fromkeys(("step", "users", "top", "per_interest"), 3),
        **dict.fromkeys(("mindref", "model", "log", "backend", "device", "only", "exclude"), "x"),
    }
    shard_file.ShardManifest(**fields).write(path)


# kind -> name of a file of a run, its writer and its reader
FILES = {
    "configuration": ("config.json", trainer, load_config),
    "catalogue": (
        "items.tsv",
        lambda run: items.write_items(run / "items.tsv", ["a", "b\t"], [1, 2], ["A\n", ""]),
        lambda run: items.read_items(run / "items.tsv"),
    ),
    "arrays": (
        "model.safetensors",
        lambda run: save_arrays(run / "model.safetensors", {"a": VECTORS}, {"format": FORMAT}),
        lambda run: load_arrays(run / "model.safetensors"),
    ),
    "manifest": (
        "manifest.json",
        lambda run: build_index(VECTORS, VECTORS, directory=run, kind="exact"),
        lambda run: open_index(run, VECTORS),
    ),
    "shard": (
        "shard" + shard_file.SUFFIX,
        lambda run: write_shard(run / "shard"),
        lambda run: shard_file.read_shard_manifest(run / "shard"),
    ),
}
CASES = [pytest.param(kind, id=kind) for kind in FILES]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of each file as mindref writes it."""
    raw = {}
    for kind, (name, write, _) in FILES.items():
        run = tmp_path_factory.mktemp("run")
        write(run)
        raw[kind] = (run / name).read_bytes()
    return raw


def read(kind, data):
    name, _, reader = FILES[kind]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        return outcome(reader, Path(folder))


@pytest.mark.parametrize("kind", CASES)
@given(damage=several())
def test_a_damaged_file_is_read_or_refused(kind, files, damage):
    content = read(kind, damage(files[kind]))
    if isinstance(content, Items):
        assert len(content.ids) == len(content.counts) == len(content.titles)


@pytest.mark.parametrize("kind", ["configuration", "manifest", "shard"])
@given(data=st.data())
def test_files_with_changed_values_are_read_or_refused(kind, files, data):
    changed = data.draw(spoiled(json.loads(files[kind])))
    try:
        raw = json.dumps(changed).encode()
    except ValueError:  # a number that is too long for Python to write
        return
    content = read(kind, raw)
    if kind == "configuration" and isinstance(content, tuple):
        assert isinstance(content[0], Config)


@pytest.mark.parametrize("kind", CASES)
def test_a_written_file_is_read_back(kind, files):
    assert not isinstance(read(kind, files[kind]), Exception)
