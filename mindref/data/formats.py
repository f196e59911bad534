"""The list of log formats, kept once: `mindref --help`, detection and reading are derived from it.

A format is a module of `mindref.data.readers` with two functions, named after the format:
`is_NAME(head) -> bool` recognises a file by its first lines, and `read_NAME(source) -> RawLog`
reads it. Importing this module imports neither NumPy nor any reader.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mindref.data.assemble import RawLog
    from mindref.data.readers.columns import ReaderInput
    from mindref.data.readers.lines import Head

LAYOUT_OPTIONS = ("delimiter", "header")


class Format(NamedTuple):
    """A log format."""

    name: str
    help: str  # the fields of a line, for messages
    module: str  # of mindref.data.readers
    tier: int  # the lowest tier with a match decides; formats of one tier may be ambiguous
    without_effect: tuple[str, ...] | None = ()  # fields of `Columns` that are an error; None: all
    item_file: str | None = None  # name, or ending, of the item file in the folder of the log
    user_file: str | None = None
    is_binary: bool = False

    def recognises(self, head: Head) -> bool:
        """Return whether the first bytes and lines (`readers/lines.py`) are of this format."""
        recognise: Callable[[Head], bool] = self._function("is")
        return recognise(head)

    def read(self, source: ReaderInput) -> RawLog:
        """Read a log (`readers.columns.ReaderInput`)."""
        read: Callable[[ReaderInput], RawLog] = self._function("read")
        return read(source)

    def _function(self, verb: str) -> Any:
        module = import_module(f"mindref.data.readers.{self.module}")
        return getattr(module, f"{verb}_{self.name.replace('-', '_')}")


FORMATS = {
    log_format.name: log_format
    for log_format in (
        Format(
            "movielens", "user::item::rating::time", "movielens", tier=4,
            without_effect=LAYOUT_OPTIONS, item_file="movies.dat", user_file="users.dat",
        ),
        Format(
            "movielens-tab", "user, item, rating, time between tabs (u.data)", "movielens", tier=4,
            without_effect=LAYOUT_OPTIONS, item_file="u.item", user_file="u.user",
        ),
        Format(
            "recbole", "tabs under a header of name:type (.inter)", "recbole", tier=3,
            without_effect=LAYOUT_OPTIONS, item_file=".item", user_file=".user",
        ),
        Format(
            "delimited", "fields between delimiters, columns known by a header or named by options",
            "delimited", tier=5,
        ),
        Format("pairs", "user item", "sequences", tier=6, without_effect=None),
        Format(
            "sequences", "user item item ...", "sequences", tier=6,
            without_effect=None, item_file="_item2attributes.json",
        ),
        Format("sessions", "item item ...", "sequences", tier=6, without_effect=None),
        Format("jsonl", "a JSON object a line", "jsonl", tier=2, without_effect=LAYOUT_OPTIONS),
        Format(
            "parquet", "a Parquet file", "parquet", tier=1,
            without_effect=LAYOUT_OPTIONS, is_binary=True,
        ),
    )
}  # fmt: skip
