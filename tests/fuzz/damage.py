"""Random changes of bytes: bits, tokens, cuts, repetitions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st

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


def truncate(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


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


def recode(data: bytes, encoding: str) -> bytes:
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def replace(data: bytes, old: bytes, new: bytes, count: int) -> bytes:
    return data.replace(old, new, count if len(data) < 2000 else 5)


def damages() -> st.SearchStrategy[Damage]:
    flips = st.lists(st.tuples(SHARE, st.integers(1, 255)), min_size=1, max_size=4)
    piece = st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8)
    byte = st.sampled_from([b"9", b"a", b"\0", b" ", b'"', b",", b"[", b"\t"])
    many = st.builds(operator.mul, byte, st.sampled_from([5_000, 120_000, 300_000]))
    span = {"share": SHARE, "length": st.floats(0, 0.3)}
    old = st.sampled_from([b"\n", b",", b"\t", b" ", b"::", b":", b'"', b"1", b"a", b"}"])
    new = {"new": st.sampled_from(TOKENS), "count": st.sampled_from([1, 2, -1])}
    return st.one_of(
        draws(truncate, share=SHARE),
        draws(flip, flips=flips),
        draws(insert, share=SHARE, piece=piece),
        draws(insert, share=SHARE, piece=many),
        draws(repeat, **span, times=st.just(0)),
        draws(repeat, **span, times=st.integers(1, 150)),
        draws(recode, encoding=st.sampled_from(ENCODINGS)),
        draws(replace, old=old, **new),
    )


def draws(change: Callable[..., bytes], **values: st.SearchStrategy[Any]) -> Any:
    """Draw a change of bytes with these arguments."""
    return st.fixed_dictionaries(values).map(lambda drawn: partial(change, **drawn))


def several() -> st.SearchStrategy[Damage]:
    """Draw one to three damages, one after the other."""

    def chained(kinds: list[Damage]) -> Damage:
        def all_of_them(data: bytes) -> bytes:
            for kind in kinds:
                data = kind(data)[: 1 << 20]
            return data

        return all_of_them

    return st.lists(damages(), min_size=1, max_size=3).map(chained)
