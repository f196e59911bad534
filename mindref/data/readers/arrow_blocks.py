"""Read a block of plain lines by pyarrow. A result differs in no value from the reference's.

Every difference between pyarrow and the reference is a reason to return None for the whole block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from mindref.data.log import Floats, Ints
from mindref.data.numbering import IdColumn, InteractionBlock
from mindref.data.readers.table import ColumnLayout, ReaderInput
from mindref.data.times import TimeParser

if TYPE_CHECKING:
    from mindref.data.readers.plain_text import TextFormat

TEXT = pa.dictionary(pa.int32(), pa.string())
SECONDS = {"auto": 1.0, "seconds": 1.0, "ms": 1000.0}  # number of each time format in a second


class ArrowBlocks:
    """Reads blocks of lines without a header, in the columns of a layout."""

    def __init__(
        self,
        text_format: TextFormat,
        layout: ColumnLayout,
        source: ReaderInput,
        parse_time: TimeParser,
    ) -> None:
        self.text_format, self.layout, self.source = text_format, layout, source
        self.parse_time = parse_time
        self.unit = SECONDS.get(source.columns.time_format, 0.0)
        self.numeric_times = layout.time >= 0 and self.unit > 0
        side_columns = [column for _, column in (*layout.item_features, *layout.user_features)]
        filters = [one.column for one in layout.row_filters]
        texts = {layout.user, layout.item, layout.title, *side_columns, *filters}
        self.text_columns = sorted(texts - {-1})

    def read(self, data: bytes) -> InteractionBlock | None:
        """Return the interactions of lines, or None if the reference must read them."""
        if not data:
            return None
        try:
            block = self.convert(self.utf8_bytes(data))
        except (ValueError, OverflowError, pa.ArrowException):
            return None
        return block

    def utf8_bytes(self, data: bytes) -> bytes:
        """Return the lines in UTF-8. Raises ValueError for other bytes."""
        if not data.isascii():
            data = data.decode(self.text_format.encoding).encode()
        return data

    def convert(self, data: bytes) -> InteractionBlock:
        """Return the interactions. Raises ValueError or ArrowException for a damaged line."""
        layout = self.layout
        columns, times = self.parse(data)
        users, items = columns[layout.user], columns[layout.item]
        # a damaged line, or a blank line, which has no other characters in these columns
        if not all(map(str.strip, (*users.names, *items.names))):
            raise ValueError("an empty id")
        keep = np.ones(len(times), bool)
        for column, accepts in layout.row_filters:
            values = columns[column]
            keep &= np.array([accepts(value) for value in values.names], bool)[values.codes]
        if not keep.all():
            self.source.tally.counts["filtered"] += int(np.count_nonzero(~keep))
            columns = {i: IdColumn(x.names, x.codes[keep]) for i, x in columns.items()}
            users, items, times = columns[layout.user], columns[layout.item], times[keep]
        self.store_side_info(columns)
        return InteractionBlock(users, items, times)

    def parse(self, data: bytes) -> tuple[dict[int, IdColumn], Floats]:
        """Return the text columns by index, and the times. Raises as `convert`."""
        time = self.layout.time
        if self.numeric_times and time not in self.text_columns:
            try:
                parsed = self.parse_columns(data, {time: pa.float64()})
                return self.texts_of(parsed), self.finite_times(parsed.column(str(time)))
            except pa.ArrowInvalid:
                pass  # dates, or a damaged line
        parsed = self.parse_columns(data, {} if time < 0 else {time: TEXT})
        columns = self.texts_of(parsed)
        if time < 0:
            return columns, np.zeros(len(parsed))
        texts = self.text_column(parsed.column(str(time)))
        seconds = np.array([self.parse_time(text) for text in texts.names], np.float64)
        self.numeric_times = False
        return columns, seconds[texts.codes]

    def parse_columns(self, data: bytes, time_type: dict[int, Any]) -> Any:
        """Return the used columns as a pyarrow table with names of digits."""
        types = {str(i): TEXT for i in self.text_columns} | {
            str(i): kind for i, kind in time_type.items()
        }
        return csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=[str(i) for i in range(self.layout.width)],
            ),
            csv.ParseOptions(
                delimiter=self.text_format.delimiter, quote_char=False, double_quote=False
            ),
            csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
        )

    def texts_of(self, parsed: Any) -> dict[int, IdColumn]:
        """Return the text columns by index."""
        return {i: self.text_column(parsed.column(str(i))) for i in self.text_columns}

    def text_column(self, column: Any) -> IdColumn:
        """Return the distinct fields of a column without blanks, and the codes of its rows."""
        chunk = column.combine_chunks()
        names, blanks = chunk.dictionary.to_pylist(), self.text_format.blanks
        if blanks:
            names = [name.strip(blanks) for name in names]  # data-R69
        return IdColumn(names, chunk.indices.to_numpy().astype(np.int64))

    def finite_times(self, column: Any) -> Floats:
        """Return times in seconds. Raises ValueError for an infinite time or NaN."""
        seconds: Floats = column.to_numpy() / self.unit
        if not np.isfinite(seconds).all():
            raise ValueError("a time that is not finite")
        return seconds

    def store_side_info(self, columns: dict[int, IdColumn]) -> None:
        """Store the titles and features of the rows, each distinct pair of id and text once."""
        layout, items, users = self.layout, self.source.items, self.source.users
        separator = self.source.columns.separator
        if layout.title >= 0:
            each_pair(columns[layout.item], columns[layout.title], items.add_title)
        for side, key, features in (
            (items, layout.item, layout.item_features),
            (users, layout.user, layout.user_features),
        ):
            for name, column in features:
                add = FeatureValues(side.add_values, name, separator).add
                each_pair(columns[key], columns[column], add)


class FeatureValues(NamedTuple):
    """Adds the values of one feature, which a separator divides."""

    add_values: Callable[[str, str, Sequence[str]], None]
    feature: str
    separator: str

    def add(self, name: str, text: str) -> None:
        """Add the values of an id."""
        self.add_values(self.feature, name, text.split(self.separator))


def each_pair(ids: IdColumn, texts: IdColumn, add: Callable[[str, str], None]) -> None:
    """Call `add` with each distinct pair of id and text, in the order of the first rows."""
    pairs = ids.codes * len(texts.names) + texts.codes
    first_rows: npt.NDArray[np.intp] = np.sort(np.unique(pairs, return_index=True)[1])
    codes: tuple[Ints, Ints] = ids.codes[first_rows], texts.codes[first_rows]
    for name, text in zip(*(x.tolist() for x in codes), strict=True):
        add(ids.names[name], texts.names[text])
