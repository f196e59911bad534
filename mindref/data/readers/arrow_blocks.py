"""Read a block of plain lines by pyarrow. A result differs in no value from the reference's.

Every difference between pyarrow and the reference is a reason to return None for the whole block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mindref.data.log import Floats
from mindref.data.numbering import IdColumn, InteractionBlock
from mindref.data.readers.column_blocks import make_block, text_columns
from mindref.data.readers.table import ColumnLayout, ReaderInput
from mindref.data.times import SECOND_UNITS, TimeParser

if TYPE_CHECKING:
    from mindref.data.readers.plain_text import TextFormat

TEXT = pa.dictionary(pa.int32(), pa.string())


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
        self.unit = SECOND_UNITS.get(source.columns.time_format, 0.0)
        self.numeric_times = layout.time >= 0 and self.unit > 0
        self.text_columns = text_columns(layout)

    def read(self, data: bytes) -> InteractionBlock | None:
        """Return the interactions of lines, or None if the reference must read them."""
        if not data:
            return None
        try:
            columns, times = self.parse(self.utf8_bytes(data))
            return make_block(columns, times, self.layout, self.source)
        except (ValueError, OverflowError, pa.ArrowException):
            return None

    def utf8_bytes(self, data: bytes) -> bytes:
        """Return the lines in UTF-8. Raises ValueError for other bytes."""
        if not data.isascii():
            data = data.decode(self.text_format.encoding).encode()
        return data

    def parse(self, data: bytes) -> tuple[dict[int, IdColumn], Floats]:
        """Return the text columns by index, and the times.

        Raises ValueError, OverflowError or ArrowException for a damaged line.
        """
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
