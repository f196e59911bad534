"""An index file is loaded only if it agrees with its manifest."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest

from mindref.errors import RunError
from mindref.recall import build_index, manifest, open_index
from mindref.recall.index import BLOCK, scale_by_longest
from mindref.run.files import sealed
from tests.recall.annoy_trees import annoy_module, vectors
from tests.runs import change_json

annoy = annoy_module()


@pytest.fixture
def built(tmp_path, monkeypatch):
    """An index of trees. After this, loading a file fails the test."""
    build_index(vectors(300), vectors(20, seed=1), directory=tmp_path, kind="annoy")
    monkeypatch.setattr(annoy.Annoy, "load", lambda *_: pytest.fail("loaded without a check"))
    return tmp_path


def change(folder, **facts):
    with change_json(folder / manifest.NAME) as content:
        content.update(facts)


@pytest.mark.rules("recall-R15", "recall-R17")
@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("format", 0),
        ("kind", "fast"),
        ("metric", "angular"),
        ("dim", 9),
        ("count", 299),
        ("items_sha256", "0" * 64),
        ("version", "annoy 1.17.4"),
        *(("effort", value) for value in (None, 0, "9", True)),
    ],
)
def test_a_mismatch_is_named(built, fact, value):
    change(built, **{fact: value})
    with pytest.raises(RunError) as caught:
        open_index(built, vectors(300))
    message = str(caught.value)
    assert f"{manifest.NAME}: {fact}: expected" in message
    assert repr(value) in message
    assert message.endswith("remove the index folder and build it again")


@pytest.mark.rules("recall-R15")
def test_other_item_vectors_are_refused(built):
    with pytest.raises(RunError, match="items_sha256"):
        open_index(built, np.nextafter(vectors(300), np.float32(0)))
    with pytest.raises(RunError, match="items_sha256"):
        open_index(built, vectors(300).astype(np.float64))
    with pytest.raises(RunError, match="count: expected 299, got 300"):
        open_index(built, vectors(300)[:299])


def peak(work):
    """Return the peak memory of a function in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_catalogue_is_not_copied_for_its_digest():
    items = np.ones((300_000, 4), np.float32)
    assert peak(lambda: manifest.array_digest(items)) < items.nbytes / 4
    assert peak(lambda: scale_by_longest(items)) < 1.5 * items.nbytes, "the answer alone"
    for some in (items[:0], items[:9, ::2], items[:3].astype(">f8")):
        same = (
            f"{some.dtype.name} {some.shape}".encode()
            + some.astype(some.dtype.newbyteorder("<")).tobytes()
        )
        assert manifest.array_digest(some) == hashlib.sha256(same).hexdigest()


@pytest.mark.rules("recall-R30")
def test_the_longest_item_is_found_in_any_block():
    for place in (0, BLOCK - 1, BLOCK, 2 * BLOCK):
        items = np.ones((2 * BLOCK + 1, 1), np.float32)
        items[place] = -4
        assert scale_by_longest(items)[place] == -1


@pytest.mark.rules("recall-R16")
def test_a_damaged_file_of_trees_is_refused(built):
    (trees,) = built.glob("*.index")
    whole = trees.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-4] + b"\0\0\0\7", b"", bytes(len(whole))):
        trees.write_bytes(damaged)
        with pytest.raises(RunError, match=rf"{trees.name}: expected sha256 [0-9a-f]{{64}}, got"):
            open_index(built, vectors(300))
    trees.unlink()
    with pytest.raises(
        RunError, match=rf"{trees.name}: expected the file of the index, got no file"
    ):
        open_index(built, vectors(300))


def test_a_file_outside_the_folder_is_never_opened(built, tmp_path_factory):
    (trees,) = built.glob("*.index")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "annoy-other.index"
    elsewhere.write_bytes(trees.read_bytes())
    change(built, file=str(elsewhere))
    with pytest.raises(RunError, match=r"annoy-other\.index: expected the file"):
        open_index(built, vectors(300))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"manifest.json: expected the manifest .*, got no file"),
        ("{", "the manifest of an index"),
        ("[]", "other JSON"),
        ('{"kind": "exact"}', "as it was written"),
        (json.dumps(sealed({"kind": "exact"})), "exactly the fields"),
        ("\udcff", "the manifest of an index"),
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path, text, message):
    if text is not None:
        (tmp_path / manifest.NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=message):
        open_index(tmp_path, vectors(3))
