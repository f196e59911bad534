"""Files that a user names: a further input, such as settings or lists of items, and a result.

Spec: specs/faults.md, faults-R15 and R22. A device is never opened as an input: it may have no end,
or never answer. A result must not replace data that are in use.
"""

from __future__ import annotations

import io
import os
import selectors
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from mindref.errors import ConfigError, MindrefError, say
from mindref.run.files import StoredFile

LONGEST_INPUT = 1 << 24  # bytes of a text that is read at once
OTHER_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}
FIRST_BYTE_SECONDS = 60.0
"""How long a pipe may take until its first byte, for example of `<(command)`."""

Inputs = Mapping[str, str | Path | None]
"""Description of an input -> path, None for an absent input."""


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


def check_output(option: str, path: Path, inputs: Inputs) -> None:
    """Raise ConfigError for an input of the command, and for a path inside a run directory.

    Links are followed. If the log is a folder, the input is the log file in this folder. The item
    and user files that are read with a log are inputs too.
    """
    target, expected = Path(os.path.realpath(path)), "a file that is not in use"
    for folder in target.parents:
        if is_run(folder):
            got = f"{path}, inside the run directory {folder}"
            todo = "choose a file outside the folder"
            raise ConfigError(say(option, expected, got, todo))  # faults-R15
    if not target.exists():
        return
    for description, source in inputs.items():
        if source is not None and any(is_same_file(target, x) for x in files_of(str(source))):
            got = f"{path}, {description}"
            raise ConfigError(say(option, expected, got, "choose another file"))


def is_same_file(target: Path, other: Path) -> bool:
    """Return whether two paths name the same file, on any file system."""
    try:
        return target.samefile(other)
    except OSError:  # no such file, or no access
        return target == Path(os.path.realpath(other))


def files_of(text: str) -> Iterator[Path]:
    """Yield the files of an input: a file, a folder of a log, or `archive.zip:inner/name`."""
    from mindref.data.formats import FORMATS
    from mindref.data.readers.columns import Columns
    from mindref.data.readers.data_file import DataFile
    from mindref.data.readers.detect import find_log, find_side_files

    yield Path(text)
    try:
        file = DataFile.of(text)
        yield file.path
        file = find_log(file, Columns())
        yield file.path
        for name in FORMATS:
            yield from (x.path for x in find_side_files(file, name) if x is not None)
    except (MindrefError, OSError):  # the reader of the input reports it
        return


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory, even if its configuration is damaged."""
    try:
        values = StoredFile(folder / "config.json", "the configuration of a run", "").read_json()
    except OSError:
        return False
    except MindrefError:
        return (folder / "items.tsv").exists()
    return isinstance(values, dict) and {"format", "settings", "sha256"} <= set(values)


def run_inputs(run: str | Path, config: Mapping[str, object]) -> dict[str, str | Path | None]:
    """Return the log, the item file and the user file of a run, whose config.json is `config`.

    Missing or damaged values are left out, because loading the run reports them.
    """
    source = config.get("source")
    if not isinstance(source, dict):
        return {}
    options = source.get("options")
    paths: dict[str, object] = {"log": source.get("place")}
    if isinstance(options, dict):
        paths |= {"item file": options.get("item_file"), "user file": options.get("user_file")}
    return {
        f"the {k} of {run}": x for k, x in paths.items() if isinstance(x, str) and os.path.isabs(x)
    }
