"""Random logs of every format and packing, with the interactions that a reader must return."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

Row = tuple[str, str, float]  # user, item, seconds

NEAR_2_63 = [2**63 - 1, 2**63, 2**63 + 1, 2**64, -(2**63), -(2**63) - 1, 0, 10**25]
STRANGE_IDS = ["nan", "inf", "None", "null", "01", "1", "1.0", "\u202eabc", "a\u0301", "\U0001f3b5"]
STRANGE_IDS += ["#", "[b]", "%s", "{}", "..", "/", "~", "$HOME", "`id`", "-1", "--help", "=1+1"]
BLANK = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0"
CONTROLS = "".join(map(chr, range(1, 32))) + "\x7f\x85\x9b\u2028\u2029"


class Form(NamedTuple):
    """How a form writes rows, and which letters its ids can hold."""

    write: Callable[[Sequence[Row]], bytes]
    without: str  # letters that no id can hold
    timed: bool = True
    codec: str = "utf-8"


def ids(form: Form) -> st.SearchStrategy[str]:
    """Draw ids that a form can hold: usual, near 2^63, strange, control characters among them."""
    letters = st.characters(codec=form.codec, exclude_characters=form.without)
    held = st.one_of(
        st.sampled_from("abcdefg"),
        st.sampled_from(NEAR_2_63).map(str),
        st.sampled_from(STRANGE_IDS),
        st.sampled_from(CONTROLS).map(lambda char: f"x{char}y"),
        st.text(letters, min_size=1, max_size=6),
    )
    return held.filter(lambda text: fits(text, form))


def fits(text: str, form: Form) -> bool:
    """Return whether a form can hold an id unchanged, in a line that is not blank."""
    if set(text) & set(form.without) or text != text.strip(BLANK):
        return False
    try:
        text.encode(form.codec)
    except UnicodeEncodeError:
        return False
    return bool(text)


TIMES = st.one_of(
    st.integers(-5, 5).map(float),  # ties
    st.integers(0, 2**33).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0, 2.0**63, -(2.0**53) - 1]),
)


@st.composite
def rows(draw: st.DrawFn, form: Form) -> list[Row]:
    """Draw the rows of a log."""
    names = st.lists(ids(form), min_size=1, max_size=4)
    users, items = draw(names), draw(names)
    times = draw(st.lists(TIMES, min_size=1, max_size=4))
    row = st.tuples(st.sampled_from(users), st.sampled_from(items), st.sampled_from(times))
    return draw(st.lists(row, min_size=1, max_size=12))


def expected(rows: Sequence[Row], timed: bool) -> dict[str, list[tuple[str, float]]]:
    """Return user -> (item, time) by the rules of specs/data.md."""
    histories: dict[str, list[tuple[str, float]]] = {}
    for user, item, time in rows:
        events = histories.setdefault(user, [])
        if not (timed and (item, time) in events):  # data-R4; -0.0 == 0.0
            events.append((item, time))
    if not timed:
        return histories
    return {user: sorted(events, key=lambda event: event[1]) for user, events in histories.items()}


def lines(text: Sequence[str], codec: str = "utf-8") -> bytes:
    return "".join(line + "\n" for line in text).encode(codec)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def movielens(delimiter: str) -> Callable[[Sequence[Row]], bytes]:
    """Return the writer of user, item, rating and time; a reader must ignore the ratings."""
    ratings = ("5", "nan", "inf", "", "-1", "x")

    def write(rows: Sequence[Row]) -> bytes:
        fields = [(u, i, ratings[n % len(ratings)], repr(t)) for n, (u, i, t) in enumerate(rows)]
        return lines([delimiter.join(row) for row in fields], "iso-8859-1")

    return write


def lines_of(*header: str, line: Callable[[str, str, float], str]) -> Callable[..., bytes]:
    """Return the writer of a header and one line for each row."""
    return lambda rows: lines([*header, *(line(*row) for row in rows)])


recbole = lines_of(
    "user_id:token\titem_id:token\ttimestamp:float", line=lambda u, i, t: f"{u}\t{i}\t{t!r}"
)
delimited = lines_of("user,item,time", line=lambda u, i, t: f"{quoted(u)},{quoted(i)},{t!r}")
bare = lines_of("user;item;time", line=lambda u, i, t: f"{u};{i};{t!r}")
pairs = lines_of(line=lambda u, i, _: f"{u} {i}")


def sequences(rows: Sequence[Row]) -> bytes:
    histories = expected(rows, timed=False).items()
    return lines([" ".join([user, *(item for item, _ in events)]) for user, events in histories])


def jsonl(rows: Sequence[Row]) -> bytes:
    values = [{"user": user, "item": item, "time": time} for user, item, time in rows]
    return lines([json.dumps(value, ensure_ascii=i % 2 == 0) for i, value in enumerate(values)])


def parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    columns = dict(zip(("user", "item", "time"), map(list, zip(*rows, strict=True)), strict=True))
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


LINES = "\r\n"
FORMS = {
    "movielens": Form(movielens("::"), LINES + ":", codec="iso-8859-1"),
    "movielens-tab": Form(movielens("\t"), LINES + "\t", codec="iso-8859-1"),
    "recbole": Form(recbole, LINES + "\t"),
    "delimited": Form(delimited, "\r"),
    "delimited bare": Form(bare, LINES + '";'),
    "pairs": Form(pairs, LINES + "\t ", timed=False),
    "sequences": Form(sequences, LINES + "\t ", timed=False),
    "jsonl": Form(jsonl, ""),
    "parquet": Form(parquet, ""),
}


def name_of(form: str) -> str:
    return form.split()[0]


# the same bytes as a plain file, compressed, or in a folder or an archive with other files

PACKINGS = ("plain", "gzip", "stored", "deflated", "zipped gzip", "folder")
REFUSED = ("bzip2", "lzma")  # unpack without a bound
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def pack(data: bytes, packing: str) -> bytes:
    """Return the bytes of a file that holds these."""
    if packing == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if packing == "zipped gzip":
        return archive({"log.gz": pack(data, "gzip")})
    if packing in METHODS:
        return archive({"log.txt": data}, METHODS[packing])
    return data


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archived:
        for name, data in files.items():
            archived.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def lay(folder: Path, data: bytes, packing: str) -> Path:
    """Write bytes in this packing and return the path that a user would name."""
    if packing == "folder":
        home = folder / "data"
        home.mkdir()
        (home / "README.md").write_text("user item\n")
        (home / "log").write_bytes(data)
        return home
    path = folder / "log"
    path.write_bytes(pack(data, packing))
    return path
