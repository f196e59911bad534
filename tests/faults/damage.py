"""Ways of damage: random changes of bytes (Hypothesis), and replacements of a file."""

from __future__ import annotations

import copy
import json
import operator
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save

Damage = Callable[[bytes], bytes]
TOKENS = [
    b"\0", b"\x1b[2J", b"\r", b"\n", b"\n\n", b"\r\n", b'"', b'""', b"\\", b",", b";", b"|",
    b"\t", b" ", b"::", b":token", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06", b"PAR1", b"\x1a",
    b"nan", b"inf", b"-inf", b"1e999", b"9" * 400, b"9" * 5000, b"-0", b"0x10", b"1_0", b"true",
    b"null", b"{", b"}", b"[" * 2000, b'{"a":' * 2000, b"[]", b'"\\ud800"', b"NaN", b"Infinity",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"1e308",
    "\u2028".encode(), "\x85".encode(), "\u202e".encode(), "\ufeff".encode(), b"\x0b", b"\x1c",
    b"2012-13-45", b"0001-01-01T00:00+23:59", b"9999-12-31T23:59:59-23:59", b"31/2/2012",
    b"\n[x]\n", b"= 0xFF\n", b"0x" + b"f" * 4000, b"user", b"item", b"time", b"title", b"../",
]  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "shift_jis", "cp500")
SHARE = st.floats(0, 1)
"""A position in the data, as a share of its length."""


def flip(data: bytes, flips: list[tuple[float, int]]) -> bytes:
    changed = bytearray(data)
    for share, bits in flips if changed else []:
        changed[min(int(len(changed) * share), len(changed) - 1)] ^= bits
    return bytes(changed)


def insert(data: bytes, share: float, piece: bytes) -> bytes:
    offset = int(len(data) * share)
    return data[:offset] + piece + data[offset:]


def repeat(data: bytes, share: float, length: float, times: int) -> bytes:
    """Return the data with a part repeated, or deleted if `times` is 0."""
    start = int(len(data) * share)
    stop = start + max(1, int(len(data) * length))
    return data[:start] + data[start:stop] * times + data[stop:]


def replace(data: bytes, old: bytes, new: bytes, count: int) -> bytes:
    return data.replace(old, new, count if len(data) < 2000 else 5)


def changes_of_bytes() -> st.SearchStrategy[Damage]:
    """Draw one change: a cut, flipped bits, an inserted, repeated or replaced part, an encoding."""

    def draws(change: Callable[..., bytes], **values: st.SearchStrategy[Any]) -> Any:
        return st.fixed_dictionaries(values).map(lambda drawn: partial(change, **drawn))

    flips = st.lists(st.tuples(SHARE, st.integers(1, 255)), min_size=1, max_size=4)
    piece = st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8)
    byte = st.sampled_from([b"9", b"a", b"\0", b" ", b'"', b",", b"[", b"\t"])
    many = st.builds(operator.mul, byte, st.sampled_from([5_000, 120_000, 300_000]))
    span = {"share": SHARE, "length": st.floats(0, 0.3)}
    old = st.sampled_from([b"\n", b",", b"\t", b" ", b"::", b":", b'"', b"1", b"a", b"}"])
    new = {"new": st.sampled_from(TOKENS), "count": st.sampled_from([1, 2, -1])}
    return st.one_of(
        SHARE.map(lambda share: lambda data: data[: int(len(data) * share)]),
        draws(flip, flips=flips),
        draws(insert, share=SHARE, piece=piece),
        draws(insert, share=SHARE, piece=many),
        draws(repeat, **span, times=st.just(0)),
        draws(repeat, **span, times=st.integers(1, 150)),
        st.sampled_from(ENCODINGS).map(
            lambda codec: lambda data: data.decode("utf-8", "replace").encode(codec, "replace")
        ),
        draws(replace, old=old, **new),
    )


def damages() -> st.SearchStrategy[Damage]:
    """Draw one to three changes, one after the other."""

    def chained(changes: list[Damage]) -> Damage:
        def all_of_them(data: bytes) -> bytes:
            for change in changes:
                data = change(data)[: 1 << 20]
            return data

        return all_of_them

    return st.lists(changes_of_bytes(), min_size=1, max_size=3).map(chained)


NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**400, 10**5000, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "inf", "nan", "1", "1_0", "9" * 5000,
    "\ud800", "\0", "\x1b[2J", "\n", "../../x", "/", "x" * 300_000, "\u0661", "none", "a,b",
    [], [[]], [None], {}, {"a": 1}, [0], [-1], [1e9], [10**18], ["x"], [1] * 1000, [[[[[1]]]]],
]  # fmt: skip


def values() -> st.SearchStrategy[Any]:
    """Draw a value of any kind that TOML or JSON can hold."""
    nasty = st.sampled_from(NASTY).map(copy.deepcopy)  # one value in a list may be changed next
    return st.one_of(nasty, st.integers(), st.floats(), st.text(max_size=8))


def paths(value: Any, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within a value of JSON."""
    yield start
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*start, key))


@st.composite
def changed_values(draw: st.DrawFn, original: Any) -> Any:
    """Draw a copy in which one or two values are others, missing, or additional."""
    changed = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(paths(changed))))
        if not path:
            return draw(values())
        *above, last = path
        container = changed
        for key in above:
            container = container[key]
        if draw(st.booleans()) or isinstance(container, list):
            container[last] = draw(values())
        else:
            del container[last]
        if draw(st.booleans()) and isinstance(container, dict):
            container[draw(st.text(max_size=5))] = draw(values())
    return changed


# replacements of a file

HUGE = 1 << 42  # bytes of a file that takes no space on the disk


def link_outside(path: Path) -> None:
    """Move the file out of the run and replace it by a link."""
    folder = path.parent.parent if path.parent.name == "index" else path.parent
    elsewhere = folder.parent / f"outside-{path.name}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def make_socket(path: Path) -> None:
    """Make a socket."""
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
        new = {"format": content.get("format", 0) + 1, "new": content}
        path.write_text(json.dumps(new), encoding="utf-8")
        return
    with safe_open(path, framework="np") as file:
        metadata = {name: json.loads(x) for name, x in file.metadata().items()}
    for header in metadata.values():
        header["format"] += 1
    texts = {name: json.dumps(header) for name, header in metadata.items()}
    path.write_bytes(save(load_file(path), metadata=texts))


def replace_file(path: Path, make: Callable[[Path], object]) -> None:
    """Replace the file by the result of `make`."""
    path.unlink()
    make(path)


NESTED = "[" * 200_000
REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer by a byte": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "all zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a link out of the folder": link_outside,
    "no rights": lambda path: path.chmod(0),
    "read-only": lambda path: path.chmod(0o444),
    "huge, then zeros": partial(os.truncate, length=HUGE),
    "a folder": partial(replace_file, make=Path.mkdir),
    "a pipe": partial(replace_file, make=os.mkfifo),
    "a socket": partial(replace_file, make=make_socket),
    "a device": partial(replace_file, make=lambda path: path.symlink_to("/dev/zero")),
    "a link to nothing": partial(replace_file, make=lambda path: path.symlink_to("nothing")),
    "a link to itself": partial(replace_file, make=lambda path: path.symlink_to(path.name)),
    "nested JSON": partial(Path.write_text, data=NESTED),
    "nested objects": partial(Path.write_text, data='{"format":' * 100_000),
    "many digits": partial(Path.write_text, data='{"format": ' + "9" * 100_000 + "}"),
    "control characters": partial(Path.write_text, data='{"format": "\x1b[2J\x9b2J"}'),
    "a newer format": raise_format,
}


def damages_of_file(path: Path, count: int) -> dict[str, Callable[[Path], object]]:
    """Return the replacements of a file, and a cut and a flipped bit at `count` offsets."""
    has_format = path.suffix in (".json", ".safetensors")
    chosen = {x: do for x, do in REPLACEMENTS.items() if has_format or x != "a newer format"}
    size = path.stat().st_size
    for offset in range(0, size, max(1, size // count)):
        bits = [((offset + 0.5) / size, 1 << (offset * 5 + 3) % 8)]
        chosen[f"cut at {offset}"] = partial(os.truncate, length=offset)
        chosen[f"a bit of byte {offset}"] = lambda path, bits=bits: path.write_bytes(
            flip(path.read_bytes(), bits)
        )
    return chosen
