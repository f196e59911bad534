"""An index is opened for the user who built it: its mark, the key, and where there is none."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mindref.errors import ConfigError
from mindref.recall import run_index, signature
from mindref.recall.manifest import NAME
from mindref.recommender.bulk import recall_lists
from tests.damage.damaged_runs import HISTORIES
from tests.security.hands import change


@pytest.mark.rules("security-R11")
def test_an_index_of_somebody_else_is_never_opened(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [
        x for some in recall_lists(run, history=HISTORIES[0], kind="annoy") for x in some.items
    ]
    opened: list[str] = []
    from mindref.recall.annoy import Annoy

    real = Annoy.load

    def loading(self: Any, path: Path, dim: int, count: int) -> Any:
        opened.append(path.name)
        return real(self, path, dim, count)

    monkeypatch.setattr(Annoy, "load", loading)
    monkeypatch.setenv(signature.KEY, str(tmp_path / "another" / "key"))
    found = recall_lists(run, history=HISTORIES[0], kind="annoy")
    assert opened == []
    assert any("expected an index that you built" in line for line in found.warnings)
    assert [x for some in found for x in some.items] == before
    again = recall_lists(run, history=HISTORIES[0], kind="annoy")
    assert len(opened) == 1, "it was built anew, and is one's own now"
    assert not any("that you built" in line for line in again.warnings)


@pytest.mark.rules("security-R11")
def test_a_mark_cannot_be_made_or_moved_without_the_key(run: Path) -> None:
    path = run / "index" / NAME
    for how in (
        lambda words: words.update(signature=None),
        lambda words: words.update(signature="0" * 64),
        lambda words: words.update(signature="\xe9" * 64),
        lambda words: words.update(file_sha256="0" * 64),
    ):
        whole = path.read_text()
        change(path, how)
        said = recall_lists(run, history=HISTORIES[0], kind="annoy").warnings
        assert any("that you built" in line or "a valid value" in line for line in said)
        path.write_text(whole)


@pytest.mark.rules("security-R11")
def test_a_key_is_made_once_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(signature.KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert signature.read_key() is None
    key = signature.make_key()
    assert (
        key
        == signature.make_key()
        == signature.read_key()
        == (tmp_path / "mindref" / "key").read_bytes()
    )
    assert key is not None
    assert len(key) == 32
    assert (tmp_path / "mindref" / "key").stat().st_mode & 0o777 == 0o600
    assert [x.name for x in (tmp_path / "mindref").iterdir()] == ["key"]
    (tmp_path / "mindref" / "key").write_bytes(b"short")
    for asked in (
        signature.read_key,
        signature.make_key,
        partial(signature.verify_signature, {}, None),
    ):
        with pytest.raises(ConfigError, match=r"MINDREF_KEY: expected at least 32 bytes, got 5 in"):
            asked()
    (tmp_path / "mindref" / "key").write_bytes(key)
    assert not signature.verify_signature({}, None)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose number has no name and no home, as in a container."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (signature.KEY, "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.rules("security-R11")
@pytest.mark.usefixtures("homeless")
def test_without_a_home_no_index_is_ours_and_one_is_told_what_to_set(run: Path) -> None:
    assert (signature.key_path(), signature.read_key(), signature.make_key()) == (None, None, None)
    said = recall_lists(run, history=HISTORIES[0], kind="annoy").warnings
    line = "an index that you built, with a key (set MINDREF_KEY to a file: no home)"
    assert any(line in one for one in said)


@pytest.mark.rules("security-R11")
@pytest.mark.parametrize("lacks", ["a key", "rights"])
def test_an_index_that_could_not_be_kept_is_not_built(
    run: Path, lacks: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Nor is that of somebody else replaced, who can open it."""
    before = (run / "index" / NAME).read_bytes()
    monkeypatch.setattr(run_index, "build_index", lambda *_, **__: pytest.fail("built"))
    if lacks == "a key":
        request.getfixturevalue("homeless")
    else:
        monkeypatch.setenv(signature.KEY, str(run.parent / "other" / "key"))
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may be root's
    found = recall_lists(run, history=HISTORIES[0], kind="annoy")
    (said,) = [line for line in found.warnings if "search is exact" in line]
    assert "expected an index that you built, with " in said
    assert "set MINDREF_KEY to one file for all machines. No index is kept" in said
    assert (run / "index" / NAME).read_bytes() == before
    shutil.rmtree(run / "index")
    if lacks == "rights":
        (said,) = recall_lists(run, history=HISTORIES[0], kind="annoy").warnings
        assert "index: expected a folder that can be written, got one to be read only. No" in said


@pytest.mark.rules("security-R16")
@pytest.mark.parametrize("size", [0, 31, 32, 64, 65, 1000])
def test_a_key_has_enough_bytes(run: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run.parent / "own.key"
    path.write_bytes(bytes(range(256)) * 4 if size == 1000 else b"k" * size)
    monkeypatch.setenv(signature.KEY, str(path))
    shutil.rmtree(run / "index")
    if size < 32:
        for asked in ("annoy", "auto"):
            with pytest.raises(ConfigError, match=rf"expected at least 32 bytes, got {size} in .*"):
                recall_lists(run, history=HISTORIES[0], kind=asked)
        assert not (run / "index").exists(), "nothing is built for nothing"
        assert not recall_lists(run, history=HISTORIES[0], kind="exact").warnings
    else:
        facts = {"kind": "annoy"}
        assert signature.verify_signature(facts, signature.sign_index(facts))
        assert signature.make_key() == path.read_bytes()


def test_a_key_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(signature.KEY, str(tmp_path / "key"))
    done: list[str] = []
    for module, name in ((os, "fsync"), (os, "link")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, real=real, name=name: (done.append(name), real(*given))[1]
        )
    assert signature.make_key() is not None
    assert done == ["fsync", "link"]
