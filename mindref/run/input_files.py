"""Files that a user names as a further input: settings, lists of items, scripts, reports.

Spec: specs/faults.md, faults-R22. A device is never opened: it may have no end, or never answer.
"""

from __future__ import annotations

import io
import os
import selectors
import stat
from pathlib import Path
from typing import BinaryIO

from mindref.errors import ConfigError, say

LONGEST_INPUT = 1 << 24  # bytes of a text that is read at once
OTHER_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}
FIRST_BYTE_SECONDS = 60.0
"""How long a pipe may take until its first byte, for example of `<(command)`."""


def open_input(option: str, path: Path) -> BinaryIO:
    """Open a regular file or a named pipe. Raises ConfigError for anything else, and OSError."""
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        return open_pipe(option, path)
    if not stat.S_ISREG(mode):  # faults-R22
        got = OTHER_KINDS.get(stat.S_IFMT(mode), "a device")
        todo = "write its content to a file"
        raise ConfigError(say(f"{option} {path}", "a file", got, todo))
    return path.open("rb")


def open_pipe(option: str, path: Path) -> BinaryIO:
    """Open a named pipe after its first byte. Raises ConfigError if none comes, and OSError."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            if not selector.select(FIRST_BYTE_SECONDS):  # faults-R22
                got = f"nothing for {FIRST_BYTE_SECONDS:g} seconds"
                raise ConfigError(say(f"{option} {path}", "a pipe with a writer", got))
        os.set_blocking(stream.fileno(), True)
    except BaseException:
        stream.close()
        raise
    return stream


def read_input_text(option: str, path: Path) -> str:
    """Return the UTF-8 text of a file of at most LONGEST_INPUT bytes.

    Raises ConfigError for a longer one and as `open_input`; OSError, and UnicodeDecodeError.
    """
    with open_input(option, path) as stream:
        data = stream.read(LONGEST_INPUT + 1)
    if len(data) > LONGEST_INPUT:  # faults-R22
        expected = f"a text of at most {LONGEST_INPUT:,} bytes"
        raise ConfigError(say(f"{option} {path}", expected, "more"))
    return io.TextIOWrapper(io.BytesIO(data), "utf-8").read()
