"""The lines of a file as text, one after another, each with its number."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import IO

from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.errors import DataError, say

Lines = Iterator[tuple[int, str]]

SAMPLE = 100  # lines that recognition looks at
LONGEST = 1 << 24  # bytes of a line
LATIN = "iso-8859-1"


def read_lines(place: Place, tally: Tally, encoding: str = "utf-8", blank: bool = False) -> Lines:
    """Yield (number from 1, text without its line end) of every line that is not blank, or of all.

    Spec: data. A line that does not decode is damaged and left out.
    Errors: DataError for UTF-16, a packed file that ends early, a line that never ends, or too many
    damaged lines.
    """
    number = 0
    with place.open() as stream:
        try:
            for number, raw in enumerate(each(stream), 1):
                check_length(raw, number, place)
                if number == 1:
                    raw = without_bom(raw, place)
                try:
                    text = raw.decode(encoding).rstrip("\r\n")  # data-R17
                except UnicodeDecodeError as error:
                    tally.damaged(number, f"byte {error.start + 1} is not {encoding}")  # data-R16
                    continue
                if blank or (text and not text.isspace()):
                    yield number, text
        except OSError as error:
            raise DataError(
                say(str(place), "a whole file", f"{error} after line {number}")
            ) from error
        finally:
            tally.lines = number


def each(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; of one that is too long, so much that it can be told."""
    return iter(partial(stream.readline, LONGEST + 2), b"")


def check_length(raw: bytes, number: int, place: Place) -> None:
    """Raise DataError for a line of more than `LONGEST` bytes: no log has one."""
    if len(raw) > LONGEST and len(raw.rstrip(b"\r\n")) > LONGEST:  # data-R72
        got = f"more, in line {number}"
        raise DataError(say(str(place), f"lines of at most {LONGEST:,} bytes", got))


def without_bom(raw: bytes, place: Place) -> bytes:
    """Return the first line without a byte order mark. Errors: DataError for UTF-16."""
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise DataError(say(str(place), "text in UTF-8", "UTF-16", "convert it, as with iconv"))
    return raw.removeprefix(BOM_UTF8)


def sample(place: Place, most: int = SAMPLE) -> list[str]:
    """Return the first lines that are not blank, with signs for bytes that are not UTF-8."""
    with place.open() as stream:
        raw = [line[:100_000] for line in until_too_long(islice(each(stream), most))]
    if raw:
        raw[0] = without_bom(raw[0], place)
    texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in raw]
    return [text for text in texts if text and not text.isspace()]


def until_too_long(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines up to the first that is too long, of which the rest would come next."""
    for line in lines:
        yield line
        if len(line) > LONGEST:
            return
