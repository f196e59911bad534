"""Whether an index was built by this user: a mark beside it that only their key can make.

Spec: specs/security.md, security-R11. Libraries read the file of an index by native code that
trusts it, and whoever gives a file away can write its sha256 beside it. So a file is opened only
by the user who built it; for anybody else it is built again.
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
from mindref.run import atomic

KEY = "MINDREF_KEY"
"""In the environment: the file of the key, where several machines of a user share an index."""

SIZE = 32  # bytes of a key that is made here, and the fewest that one may have


def place() -> Path | None:
    """Return where the key of this user lies, in a folder that no run can name.

    None for a user without a home, as the number of a container that has no name may be.
    """
    if told := os.environ.get(KEY):
        return Path(told)
    state = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        base = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return base / "mindref" / "key"


def named() -> str:
    """Return words for the key of this user, and what to do where there is no place for one."""
    return f"the key {path}" if (path := place()) else f"a key (set {KEY} to a file: no home)"


def read_key() -> bytes | None:
    """Return the key of this user, or None. Raises ConfigError for one that is too short."""
    path = place()
    try:
        if path is None or not path.is_file():
            return None
        found = path.read_bytes()
    except OSError:  # no rights
        return None
    if len(found) < SIZE:  # security-R16
        todo = f"remove {path}, and a key is made there"
        raise ConfigError(say(KEY, f"at least {SIZE} bytes", f"{len(found)} in {path}", todo))
    return found


def make_key() -> bytes | None:
    """Return the key of this user, made now if there is none; None where it cannot be kept.

    Raises ConfigError as `read_key`.
    """
    known, path = read_key(), place()
    if known is not None or path is None:
        return known
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(SIZE))
            atomic.sync_file(own)  # a crash must not leave the name of a key, and nothing in it
            os.link(own, path)  # of two that make one, the first counts for both
        finally:
            own.unlink(missing_ok=True)
    except (OSError, AttributeError):
        pass
    return read_key()


def mark(facts: Mapping[str, Any]) -> str | None:
    """Return the mark of this user on an index; None where no key can be kept."""
    key = make_key()
    return None if key is None else made_with(key, facts)


def is_ours(facts: Mapping[str, Any], found: object) -> bool:
    """Return whether the mark beside an index is that of this user. Raises as `read_key`."""
    key = read_key()
    if key is None or not isinstance(found, str) or not found.isascii():
        return False
    return hmac.compare_digest(made_with(key, facts), found)


def made_with(key: bytes, facts: Mapping[str, Any]) -> str:
    """Return the mark that a key makes."""
    return hmac.digest(key, json.dumps(facts, sort_keys=True).encode(), "sha256").hex()
