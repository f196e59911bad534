"""Run files with any values: a file is read or refused, and no other file is opened."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
Read = Callable[[Path], Any]


def write_part(path: Path) -> None:
    some: Any = {"index": {"kind": "exact"}, "shard": [1, 2], "form": "tsv", "block": 8}
    numbers = dict.fromkeys(("step", "users", "top"), 3)
    words = dict.fromkeys(("mindref", "model", "log", "backend", "device"), "x")
    shard_file.ShardManifest(
        format=shard_file.FORMAT, exclude_seen=True, **some, **numbers, **words
    ).write(path)


# a file of a run, who writes it and who reads it
FILES: dict[str, tuple[str, Callable[[Path], object], Read]] = {
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
    "part": (
        "part" + shard_file.SUFFIX,
        lambda run: write_part(run / "part"),
        lambda run: shard_file.read_shard_manifest(run / "part"),
    ),
}
CASES = [pytest.param(kind, id=kind) for kind in FILES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the bytes of each file as mindref writes it."""
    found = {}
    for kind, (name, write, _) in FILES.items():
        run = tmp_path_factory.mktemp("run")
        write(run)
        found[kind] = (run / name).read_bytes()
    return found


def read(kind: str, data: bytes) -> Any:
    """Return what is read of these bytes, or the error."""
    name, _, reader = FILES[kind]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        return outcome(reader, Path(folder))


@pytest.mark.parametrize("kind", CASES)
@given(damage=several())
def test_a_damaged_file_is_read_or_refused(
    kind: str, whole: dict[str, bytes], damage: Callable[[bytes], bytes]
) -> None:
    found = read(kind, damage(whole[kind]))
    if isinstance(found, Items):
        assert len(found.ids) == len(found.counts) == len(found.titles)


@pytest.mark.parametrize("kind", ["configuration", "manifest", "part"])
@given(data=st.data())
def test_files_with_changed_values_are_read_or_refused(
    kind: str, whole: dict[str, bytes], data: st.DataObject
) -> None:
    words = data.draw(spoiled(json.loads(whole[kind])))
    try:
        raw = json.dumps(words).encode()
    except ValueError:  # a number that is too long for Python to write
        return
    found = read(kind, raw)
    if kind == "configuration" and isinstance(found, tuple):
        assert isinstance(found[0], Config)


@pytest.mark.parametrize("kind", CASES)
def test_a_written_file_is_read_back(kind: str, whole: dict[str, bytes]) -> None:
    assert not isinstance(read(kind, whole[kind]), Exception)
