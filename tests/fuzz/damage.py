"""Random changes of bytes: bits, tokens, cuts, repetitions."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

Damage = Callable[[bytes], bytes]

TOKENS = [
    *(b"\0", b"\x1b[2J", b"\r", b"\n", b"\n\n", b"\r\n", b'"', b'""', b"\\", b",", b";", b"|"),
    *(b"\t", b" ", b"::", b":token", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06", b"PAR1", b"\x1a"),
    *(b"nan", b"inf", b"-inf", b"1e999", b"9" * 400, b"9" * 5000, b"-0", b"0x10", b"1_0", b"true"),
    *(b"null", b"{", b"}", b"[" * 2000, b'{"a":' * 2000, b"[]", b'"\\ud800"', b"NaN", b"Infinity"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"1e308"),
    *("\u2028".encode(), "\x85".encode(), "\u202e".encode(), "\ufeff".encode(), b"\x0b", b"\x1c"),
    *(b"2012-13-45", b"0001-01-01T00:00+23:59", b"9999-12-31T23:59:59-23:59", b"31/2/2012"),
    *(b"\n[x]\n", b"= 0xFF\n", b"0x" + b"f" * 4000, b"user", b"item", b"time", b"title", b"../"),
]
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "shift_jis", "cp500")


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Draw one damage; it makes bytes of any bytes."""
    kind = draw(st.sampled_from([truncate, flip, insert, delete, repeat, recode, swell, replace]))
    return draw(kind())


@st.composite
def truncate(draw: st.DrawFn) -> Damage:
    share = draw(st.floats(0, 1))
    return lambda data: data[: int(len(data) * share)]


@st.composite
def flip(draw: st.DrawFn) -> Damage:
    places = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4))

    def flipped(data: bytes) -> bytes:
        found = bytearray(data)
        for share, bits in places if found else []:
            found[min(int(len(found) * share), len(found) - 1)] ^= bits
        return bytes(found)

    return flipped


@st.composite
def insert(draw: st.DrawFn) -> Damage:
    share = draw(st.floats(0, 1))
    token = draw(st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=8)))

    def inserted(data: bytes) -> bytes:
        at = int(len(data) * share)
        return data[:at] + token + data[at:]

    return inserted


@st.composite
def span(draw: st.DrawFn) -> Callable[[bytes], tuple[int, int]]:
    shares = draw(st.tuples(st.floats(0, 1), st.floats(0, 0.3)))

    def found(data: bytes) -> tuple[int, int]:
        start = int(len(data) * shares[0])
        return start, start + max(1, int(len(data) * shares[1]))

    return found


@st.composite
def delete(draw: st.DrawFn) -> Damage:
    between = draw(span())
    return lambda data: data[: between(data)[0]] + data[between(data)[1] :]


@st.composite
def repeat(draw: st.DrawFn) -> Damage:
    between, times = draw(span()), draw(st.integers(1, 150))

    def repeated(data: bytes) -> bytes:
        start, stop = between(data)
        return data[:start] + data[start:stop] * times + data[stop:]

    return repeated


@st.composite
def recode(draw: st.DrawFn) -> Damage:
    encoding = draw(st.sampled_from(ENCODINGS))
    return lambda data: data.decode("utf-8", "replace").encode(encoding, "replace")


@st.composite
def swell(draw: st.DrawFn) -> Damage:
    share, size = draw(st.floats(0, 1)), draw(st.sampled_from([5_000, 120_000, 300_000]))
    byte = draw(st.sampled_from([b"9", b"a", b"\0", b" ", b'"', b",", b"[", b"\t"]))

    def swollen(data: bytes) -> bytes:
        at = int(len(data) * share)
        return data[:at] + byte * size + data[at:]

    return swollen


@st.composite
def replace(draw: st.DrawFn) -> Damage:
    old = draw(st.sampled_from([b"\n", b",", b"\t", b" ", b"::", b":", b'"', b"1", b"a", b"}"]))
    new, most = draw(st.sampled_from(TOKENS)), draw(st.sampled_from([1, 2, -1]))
    return lambda data: data.replace(old, new, most if len(data) < 2000 else 5)


def several() -> st.SearchStrategy[Damage]:
    """Draw one to three damages, one after the other."""

    def chained(kinds: list[Damage]) -> Damage:
        def all_of_them(data: bytes) -> bytes:
            for kind in kinds:
                data = kind(data)[: 1 << 20]
            return data

        return all_of_them

    return st.lists(damages(), min_size=1, max_size=3).map(chained)
