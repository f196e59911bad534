"""What is done to a file of a run: cut short, bits flipped, swapped, missing, or another thing.

A harm changes a copy; each has a name, so that a failure can be done again by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open
from safetensors.numpy import load_file, save

HUGE = 1 << 42  # bytes of a file that takes no room on the disk
EDGE = 3  # bytes at either end of which every one is tried


class Harm(NamedTuple):
    """Something that is done to a file, in place."""

    name: str
    do: Callable[[Path], None]


def places(size: int, count: int) -> list[int]:
    """Return about `count` places below `size`, evenly spread, and all at the edges."""
    step = max(1, size // max(1, count))
    edges = [*range(EDGE), *range(size - EDGE, size)]
    return sorted({at for at in [*range(0, size, step), *edges] if 0 <= at < size})


def truncated(path: Path, at: int) -> None:
    """Keep the first `at` bytes."""
    os.truncate(path, at)


def flipped(path: Path, at: int) -> None:
    """Flip one bit of the byte there; which one depends on the place."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at * 5 + 3) % 8
    path.write_bytes(bytes(data))


def bytes_of(path: Path, count: int) -> Iterator[Harm]:
    """Yield the harms to the bytes of a file, at about `count` places of each kind."""
    size = path.stat().st_size
    for at in places(size, count):
        yield Harm(f"truncated at {at}", partial(truncated, at=at))
        yield Harm(f"a bit of byte {at}", partial(flipped, at=at))
    yield Harm("longer by a byte", lambda path: path.write_bytes(path.read_bytes() + b"\n"))
    yield Harm("all zeros", lambda path: path.write_bytes(bytes(size)))


def swapped(path: Path, other: Path) -> None:
    """Put another run's file there, or nothing where that has none."""
    path.unlink()
    if other.exists():
        shutil.copy(other, path)


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else there."""
    path.unlink()
    make(path)


def sparse(path: Path) -> None:
    """Make the file huge without writing: what was there, then zeros."""
    os.truncate(path, HUGE)


def all_sparse(path: Path) -> None:
    """Put a huge file of zeros there."""
    os.truncate(path, 0)
    os.truncate(path, HUGE)


def huge_array(path: Path) -> None:
    """Put a file of arrays there whose header and size agree, and which takes no room."""
    header = {"items": {"dtype": "F32", "shape": [HUGE // 4], "data_offsets": [0, HUGE]}}
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            header |= {"__metadata__": file.metadata()}  # type: ignore[dict-item]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + HUGE)


def outside(path: Path) -> None:
    """Make the file a link to itself, moved out of the run."""
    elsewhere = path.parent.parent / f"outside-{path.name}"
    if path.parent.name == "index":
        elsewhere = path.parent.parent.parent / f"outside-{path.name}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def bound(path: Path) -> None:
    """Put a socket there."""
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def newer(path: Path) -> None:
    """Raise the number of the format, and nothing else."""
    if path.suffix == ".json":
        words = json.loads(path.read_text())
        words["format"] = words.get("format", 0) + 1
        path.write_text(json.dumps(words))
    else:
        with safe_open(path, framework="np") as file:
            metadata = {name: json.loads(x) for name, x in file.metadata().items()}
        for words in metadata.values():
            words["format"] += 1
        told = {name: json.dumps(words) for name, words in metadata.items()}
        path.write_bytes(save(load_file(path), metadata=told))


NESTED = "[" * 200_000
DIGITS = "9" * 100_000


def written(path: Path, text: str) -> None:
    """Put text there."""
    path.write_text(text)


def things(path: Path) -> Iterator[Harm]:
    """Yield what else may lie at the place of a file."""
    yield Harm("missing", Path.unlink)
    yield Harm("a folder", partial(replaced, make=Path.mkdir))
    yield Harm("a pipe", partial(replaced, make=os.mkfifo))
    yield Harm("a socket", partial(replaced, make=bound))
    yield Harm("a device", partial(replaced, make=lambda x: x.symlink_to("/dev/zero")))
    yield Harm("a link to nothing", partial(replaced, make=lambda x: x.symlink_to("nothing")))
    yield Harm("a link to itself", partial(replaced, make=lambda x: x.symlink_to(x.name)))
    yield Harm("a link out of the folder", outside)
    yield Harm("no rights", lambda x: x.chmod(0))
    yield Harm("read-only", lambda x: x.chmod(0o444))
    yield Harm("huge, then zeros", sparse)
    yield Harm("huge, all zeros", all_sparse)
    yield Harm("a huge array", huge_array)
    yield Harm("nested JSON", partial(written, text=NESTED))
    yield Harm("nested objects", partial(written, text='{"format":' * 100_000))
    yield Harm("a number of many digits", partial(written, text=f'{{"format": {DIGITS}}}'))
    yield Harm("control characters", partial(written, text='{"format": "\x1b[2J\x9b2J"}'))
    if path.suffix in (".json", ".safetensors"):
        yield Harm("a newer format", newer)
