"""The signature of an index, made with a secret key of the user who built the index.

Spec: specs/security.md, security-R11. Libraries read an index file with native code that trusts
the file. A sha256 in the manifest is no protection, because an attacker can write it too. So an
index file is loaded only for the user who built it, and rebuilt for every other user.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mindref.errors import ConfigError, say
from mindref.process import user_folders
from mindref.run import atomic

KEY = "MINDREF_KEY"
"""Environment variable: the file of the key, for a user whose machines share an index."""

KEY_BYTES = 32  # length of a new key, and minimum length


def key_path() -> Path | None:
    """Return the path of the user's key, outside of every run directory.

    None for a user without a home folder, such as a numeric user id in a container.
    """
    if configured := os.environ.get(KEY):
        return Path(configured)
    folder = user_folders.user_state_folder()
    return folder / "key" if folder else None


def describe_key() -> str:
    """Return a text about the user's key for an error message."""
    return f"the key {path}" if (path := key_path()) else f"a key (set {KEY} to a file: no home)"


def read_key() -> bytes | None:
    """Return the user's key, or None. Raises ConfigError for a key that is too short."""
    path = key_path()
    try:
        if path is None or not path.is_file():
            return None
        key = path.read_bytes()
    except OSError:  # no rights
        return None
    if len(key) < KEY_BYTES:  # security-R16
        todo = f"remove {path}; a new key is made"
        raise ConfigError(say(KEY, f"at least {KEY_BYTES} bytes", f"{len(key)} in {path}", todo))
    return key


def make_key() -> bytes | None:
    """Return the user's key, after making one if necessary. None if a key cannot be stored.

    Raises ConfigError as `read_key`.
    """
    key, path = read_key(), key_path()
    if key is not None or path is None:
        return key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(KEY_BYTES))
            atomic.sync_file(temporary)  # a crash must not leave an empty key file
            os.link(temporary, path)  # of two concurrent processes, the first wins
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, AttributeError):
        pass
    return read_key()


def sign_index(facts: Mapping[str, Any]) -> str | None:
    """Return the user's signature of an index, or None without a key."""
    key = make_key()
    return None if key is None else compute_signature(key, facts)


def verify_signature(facts: Mapping[str, Any], signature: object) -> bool:
    """Return whether a signature is the user's signature of an index. Raises as `read_key`."""
    key = read_key()
    if key is None or not isinstance(signature, str) or not signature.isascii():
        return False
    return hmac.compare_digest(compute_signature(key, facts), signature)


def compute_signature(key: bytes, facts: Mapping[str, Any]) -> str:
    """Return the HMAC-SHA256 of the facts."""
    return hmac.digest(key, json.dumps(facts, sort_keys=True).encode(), "sha256").hex()
