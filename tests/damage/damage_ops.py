"""Operations that damage a file of a run: truncated, bits flipped, swapped, missing, replaced.

An operation changes a copy. Each operation has a name, so that a failure can be reproduced.
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


class DamageOp(NamedTuple):
    """An operation that changes a file in place."""

    name: str
    do: Callable[[Path], object]


def spread_offsets(size: int, count: int) -> list[int]:
    """Return about `count` evenly spaced offsets below `size`, and all offsets at the ends."""
    step = max(1, size // max(1, count))
    edges = [*range(EDGE), *range(size - EDGE, size)]
    return sorted({x for x in [*range(0, size, step), *edges] if 0 <= x < size})


def flip_bit(path: Path, offset: int) -> None:
    """Flip one bit of the byte at `offset`. The bit depends on the offset."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << (offset * 5 + 3) % 8
    path.write_bytes(bytes(data))


def byte_ops(path: Path, count: int) -> Iterator[DamageOp]:
    """Yield operations on the bytes of a file, at about `count` offsets of each kind."""
    size = path.stat().st_size
    for offset in spread_offsets(size, count):
        yield DamageOp(f"truncated at {offset}", partial(os.truncate, length=offset))
        yield DamageOp(f"a bit of byte {offset}", partial(flip_bit, offset=offset))
    yield DamageOp("longer by a byte", lambda path: path.write_bytes(path.read_bytes() + b"\n"))
    yield DamageOp("all zeros", lambda path: path.write_bytes(bytes(size)))


def swap_file(path: Path, other: Path) -> None:
    """Replace the file by the file of another run, or remove it if the other run has none."""
    path.unlink()
    if other.exists():
        shutil.copy(other, path)


def replace_file(path: Path, make: Callable[[Path], object]) -> None:
    """Replace the file by the result of `make`."""
    path.unlink()
    make(path)


def replace_by_zeros(path: Path) -> None:
    """Replace the file by HUGE zeros, as a sparse file."""
    os.truncate(path, 0)
    os.truncate(path, HUGE)


def replace_by_huge_array(path: Path) -> None:
    """Replace the file by a sparse array file whose header and size agree."""
    header = {"items": {"dtype": "F32", "shape": [HUGE // 4], "data_offsets": [0, HUGE]}}
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            header |= {"__metadata__": file.metadata()}  # type: ignore[dict-item]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + HUGE)


def link_outside(path: Path) -> None:
    """Move the file out of the run and replace it by a link."""
    elsewhere = path.parent.parent / f"outside-{path.name}"
    if path.parent.name == "index":
        elsewhere = path.parent.parent.parent / f"outside-{path.name}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def make_socket(path: Path) -> None:
    """Replace the file by a socket."""
    working_directory = os.getcwd()
    os.chdir(path.parent)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as unix_socket:
            unix_socket.bind(path.name)
    finally:
        os.chdir(working_directory)


def raise_format(path: Path) -> None:
    """Increase the format number; a JSON file also gets another layout."""
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(
            json.dumps({"format": content.get("format", 0) + 1, "new": content}), encoding="utf-8"
        )
    else:
        with safe_open(path, framework="np") as file:
            metadata = {name: json.loads(x) for name, x in file.metadata().items()}
        for header in metadata.values():
            header["format"] += 1
        texts = {name: json.dumps(header) for name, header in metadata.items()}
        path.write_bytes(save(load_file(path), metadata=texts))


NESTED = "[" * 200_000
DIGITS = "9" * 100_000
TEXTS = {
    "nested JSON": NESTED,
    "nested objects": '{"format":' * 100_000,
    "a number of many digits": f'{{"format": {DIGITS}}}',
    "control characters": '{"format": "\x1b[2J\x9b2J"}',
}
MAKERS: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}
CHANGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "a link out of the folder": link_outside,
    "no rights": lambda path: path.chmod(0),
    "read-only": lambda path: path.chmod(0o444),
    "huge, then zeros": partial(os.truncate, length=HUGE),
    "huge, all zeros": replace_by_zeros,
    "a huge array": replace_by_huge_array,
}


def replacement_ops(path: Path) -> Iterator[DamageOp]:
    """Yield operations that replace the file by something else."""
    yield from (DamageOp(name, change) for name, change in CHANGES.items())
    yield from (DamageOp(name, partial(replace_file, make=x)) for name, x in MAKERS.items())
    yield from (DamageOp(name, partial(Path.write_text, data=x)) for name, x in TEXTS.items())
    if path.suffix in (".json", ".safetensors"):
        yield DamageOp("a newer format", raise_format)
