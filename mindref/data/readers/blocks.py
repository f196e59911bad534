"""Read interactions in blocks of rows: as columns where the result is exact, else row by row.

A text file and a Parquet file are two sources of blocks. Each block offers its rows in two ways.
`table.read_interactions` reads single records and is the reference: it defines interactions, counts
and errors. Columns of many rows are faster. If a value of the columns could differ from that of
the reference, or a row is damaged, the records of the block are read (data-R85).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mindref.data.log import Floats, Ints
from mindref.data.numbering import Block, IdColumn, InteractionBlock
from mindref.data.readers.table import ColumnLayout, ReaderInput, Record, read_interactions
from mindref.data.times import TimeParser

Columns = Mapping[int, IdColumn]  # index of a column -> its fields as text


class RowBlock(Protocol):
    """Consecutive rows of a file."""

    @property
    def num_lines(self) -> int:
        """The number of lines (or rows) of the block."""

    def columns(self) -> tuple[Columns, Floats]:
        """Return the columns of `text_columns`, and the times (E,) in seconds.

        Raises ValueError, OverflowError or TypeError if the records must be read.
        """

    def records(self) -> Iterator[Record]:
        """Yield the records, and count the lines."""


def read_blocks(
    blocks: Iterable[RowBlock], layout: ColumnLayout, source: ReaderInput, parse_time: TimeParser
) -> Iterator[Block]:
    """Yield the interactions of each block of rows."""
    for block in blocks:
        try:
            columns, times = block.columns()
            interactions = make_block(columns, times, layout, source)
        except (ValueError, OverflowError, TypeError):  # data-R85
            yield read_interactions(block.records(), layout, source, parse_time)
        else:
            source.tally.lines += block.num_lines
            yield interactions


def text_columns(layout: ColumnLayout) -> list[int]:
    """Return the indices of the columns that are read as text."""
    side_columns = [column for _, column in (*layout.item_features, *layout.user_features)]
    filters = [x.column for x in layout.row_filters]
    texts = {layout.user, layout.item, layout.title, *side_columns, *filters}
    return sorted(texts - {-1})


def make_block(
    columns: Columns, times: Floats, layout: ColumnLayout, source: ReaderInput
) -> InteractionBlock:
    """Return the interactions of rows; count filtered rows, store titles and features.

    Raises ValueError for a damaged row; nothing is counted or stored then.
    """
    users, items = columns[layout.user], columns[layout.item]
    # a row without an id, or a blank line, whose fields have no other characters
    if not all(map(str.strip, (*users.names, *items.names))):
        raise ValueError("an empty id")
    keep = np.ones(len(times), bool)
    for column, accepts in layout.row_filters:
        values = columns[column]
        keep &= np.array([accepts(value) for value in values.names], bool)[values.codes]
    if not keep.all():
        source.tally.counts["filtered"] += int(np.count_nonzero(~keep))
        columns = {i: IdColumn(x.names, x.codes[keep]) for i, x in columns.items()}
        users, items, times = columns[layout.user], columns[layout.item], times[keep]
    store_columns(columns, layout, source)
    return InteractionBlock(users, items, times)


def store_columns(columns: Columns, layout: ColumnLayout, source: ReaderInput) -> None:
    """Store the titles and features of rows, each distinct pair of id and text once."""
    items, users = source.items, source.users
    if layout.title >= 0:
        each_pair(columns[layout.item], columns[layout.title], items.add_title)
    for side, key, features in (
        (items, layout.item, layout.item_features),
        (users, layout.user, layout.user_features),
    ):
        for name, column in features:
            add = FeatureValues(side.add_values, name, source.columns.separator).add
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
