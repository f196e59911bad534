"""The signature of an index: verified, created with a private key, absent without a home."""

import os
import shutil
from unittest.mock import Mock

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
    load = Mock(wraps=Annoy().load)
    monkeypatch.setattr(Annoy, "load", load)
    monkeypatch.setenv(signature.KEY, str(tmp_path / "another" / "key"))
    lists = recall(run)
    load.assert_not_called()
    assert any("expected an index that you built" in line for line in lists.warnings)
    assert [x for answer in lists for x in answer.items] == before
    lists = recall(run)
    load.assert_called_once()  # the rebuilt index has the signature of this key
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
    assert len(key or b"") == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [x.name for x in path.parent.iterdir()] == ["key"]
    assert not signature.verify_signature({}, None)


@pytest.fixture
def homeless(monkeypatch):
    """A user id without name and home folder, as in a container."""
    for name in (signature.KEY, "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    error = RuntimeError("could not determine the home directory")
    monkeypatch.setattr("platformdirs.user_state_dir", Mock(side_effect=error))


@pytest.mark.rules("security-R11")
@pytest.mark.parametrize("lacks", ["a key", "rights"])
def test_an_index_that_cannot_be_stored_is_not_built(run, lacks, monkeypatch, request):
    """The index of another user, who can open it, is not replaced."""
    before = (run / "index" / NAME).read_bytes()
    monkeypatch.setattr(run_index, "build_index", lambda *_, **__: pytest.fail("built"))
    key = "the key /"
    if lacks == "a key":
        request.getfixturevalue("homeless")
        key = "a key (set MINDREF_KEY to a file: no home)"
    else:
        monkeypatch.setenv(signature.KEY, str(run.parent / "other" / "key"))
        monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may be root's
    (warning,) = [line for line in recall(run).warnings if "search is exact" in line]
    assert f"expected an index that you built, with {key}" in warning
    assert "set MINDREF_KEY to one file for all machines. No index is kept" in warning
    assert (run / "index" / NAME).read_bytes() == before
    shutil.rmtree(run / "index")
    if lacks == "rights":
        (warning,) = recall(run).warnings
        assert (
            "index: expected a folder that can be written, got one to be read only. No" in warning
        )


@pytest.mark.rules("security-R16")
@pytest.mark.parametrize("size", [0, 31, 32, 1000])
def test_a_key_needs_at_least_32_bytes(run, size, monkeypatch):
    path = run.parent / "own.key"
    path.write_bytes(b"k" * size)
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
