"""The signature of an index: verified, created with a private key, absent without a home."""

import os
import shutil
from functools import partial

import pytest

from mindref.errors import ConfigError
from mindref.recall import run_index, signature
from mindref.recall.manifest import NAME
from tests.recall.annoy_trees import annoy_module
from tests.security.tampering import edit_json, recall

Annoy = annoy_module().Annoy


@pytest.mark.rules("security-R11")
def test_an_index_signed_with_another_key_is_not_opened(run, tmp_path, monkeypatch):
    before = [x for answer in recall(run) for x in answer.items]
    opened = []
    real = Annoy.load

    def loading(self, path, dim, count):
        opened.append(path.name)
        return real(self, path, dim, count)

    monkeypatch.setattr(Annoy, "load", loading)
    monkeypatch.setenv(signature.KEY, str(tmp_path / "another" / "key"))
    lists = recall(run)
    assert opened == []
    assert any("expected an index that you built" in line for line in lists.warnings)
    assert [x for answer in lists for x in answer.items] == before
    lists = recall(run)
    assert len(opened) == 1, "the rebuilt index has the signature of this key"
    assert not any("that you built" in line for line in lists.warnings)


@pytest.mark.rules("security-R11")
def test_a_forged_or_moved_signature_is_rejected(run):
    path = run / "index" / NAME
    forged = ({"signature": x} for x in (None, "0" * 64, "\xe9" * 64))
    for values in (*forged, {"file_sha256": "0" * 64}):
        original = path.read_text()
        edit_json(path, lambda manifest, values=values: manifest.update(values))
        warnings = recall(run).warnings
        assert any("that you built" in line or "a valid value" in line for line in warnings)
        path.write_text(original)


@pytest.mark.rules("security-R11")
def test_the_key_is_created_once_and_private(tmp_path, monkeypatch):
    monkeypatch.delenv(signature.KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "mindref" / "key"
    assert signature.read_key() is None
    key = signature.make_key()
    assert key == signature.make_key() == signature.read_key() == path.read_bytes()
    assert key is not None
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [x.name for x in path.parent.iterdir()] == ["key"]
    path.write_bytes(b"short")
    verify = partial(signature.verify_signature, {}, None)
    for use in (signature.read_key, signature.make_key, verify):
        with pytest.raises(ConfigError, match=r"MINDREF_KEY: expected at least 32 bytes, got 5 in"):
            use()
    path.write_bytes(key)
    assert not verify()


@pytest.fixture
def homeless(monkeypatch):
    """A user id without name and home folder, as in a container."""

    def home(*_, **__):
        raise RuntimeError("could not determine the home directory")

    for name in (signature.KEY, "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_state_dir", home)


@pytest.mark.rules("security-R11")
@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_the_warning_names_the_variable(run):
    assert (signature.key_path(), signature.read_key(), signature.make_key()) == (None, None, None)
    expected = "an index that you built, with a key (set MINDREF_KEY to a file: no home)"
    assert any(expected in line for line in recall(run).warnings)


@pytest.mark.rules("security-R11")
@pytest.mark.parametrize("lacks", ["a key", "rights"])
def test_an_index_that_cannot_be_stored_is_not_built(run, lacks, monkeypatch, request):
    """The index of another user, who can open it, is not replaced."""
    before = (run / "index" / NAME).read_bytes()
    monkeypatch.setattr(run_index, "build_index", lambda *_, **__: pytest.fail("built"))
    if lacks == "a key":
        request.getfixturevalue("homeless")
    else:
        monkeypatch.setenv(signature.KEY, str(run.parent / "other" / "key"))
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may be root's
    (warning,) = [line for line in recall(run).warnings if "search is exact" in line]
    assert "expected an index that you built, with " in warning
    assert "set MINDREF_KEY to one file for all machines. No index is kept" in warning
    assert (run / "index" / NAME).read_bytes() == before
    shutil.rmtree(run / "index")
    if lacks == "rights":
        (warning,) = recall(run).warnings
        assert (
            "index: expected a folder that can be written, got one to be read only. No" in warning
        )


@pytest.mark.rules("security-R16")
@pytest.mark.parametrize("size", [0, 31, 32, 64, 65, 1000])
def test_a_key_needs_at_least_32_bytes(run, size, monkeypatch):
    path = run.parent / "own.key"
    path.write_bytes(bytes(range(256)) * 4 if size == 1000 else b"k" * size)
    monkeypatch.setenv(signature.KEY, str(path))
    shutil.rmtree(run / "index")
    if size < 32:
        for kind in ("annoy", "auto"):
            with pytest.raises(ConfigError, match=rf"expected at least 32 bytes, got {size} in .*"):
                recall(run, kind)
        assert not (run / "index").exists()
        assert not recall(run, "exact").warnings
    else:
        facts = {"kind": "annoy"}
        assert signature.verify_signature(facts, signature.sign_index(facts))
        assert signature.make_key() == path.read_bytes()


def test_a_key_is_synced_before_it_is_linked(tmp_path, monkeypatch):
    monkeypatch.setenv(signature.KEY, str(tmp_path / "key"))
    done = []
    for module, name in ((os, "fsync"), (os, "link")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module,
            name,
            lambda *arguments, real=real, name=name: (done.append(name), real(*arguments))[1],
        )
    assert signature.make_key() is not None
    assert done == ["fsync", "link"]


@pytest.mark.rules("security-R11")
def test_a_key_in_the_folder_of_older_versions_stays_in_use(tmp_path, monkeypatch):
    """On macOS and Windows, older versions used another folder than platformdirs."""
    monkeypatch.delenv(signature.KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "former"))
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *_, **__: str(tmp_path / "new"))
    assert signature.key_path() == tmp_path / "new" / "key"
    old = tmp_path / "former" / "mindref" / "key"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"k" * 32)
    assert signature.make_key() == b"k" * 32
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "key").write_bytes(b"n" * 32)
    assert signature.read_key() == b"n" * 32
