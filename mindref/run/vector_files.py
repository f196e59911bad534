"""Tables of vectors as files for other engines: Parquet, or npy with TSV.

    parquet   items.parquet (id, title, count, vector), interests.parquet (user, interest, vector),
              histories.parquet (user, item)
    npy       items.npy and items.tsv, interests.npy and interests.tsv (user, interest),
              histories.tsv (user, item); row i of an .npy file belongs to line i after the header

Vectors are float32. Spec: specs/serving.md.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mindref.errors import ConfigError, DataError, say
from mindref.process.requirements import install_extra
from mindref.run import items as catalogue
from mindref.run.tsv import escape, tsv_line
from mindref.shapes import Array, Ints

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

ROWS = 1 << 16  # rows of the item table per row group of Parquet


Columns = Mapping[str, Sequence[str] | Sequence[int] | Ints]
INTEGERS = ("count", "interest")  # columns of integers; all others are text


class VectorTables(ExitStack, ABC):
    """Writer of the tables of one format. A table is opened when its first rows are written."""

    versions: dict[str, str]  # of the libraries that write

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__()
        self.folder, self.width = folder, width

    @abstractmethod
    def write_items(
        self, ids: Sequence[str], titles: Sequence[str], counts: Sequence[int], vectors: Array
    ) -> None:
        """Write the item table: vectors (M, D) float32."""

    @abstractmethod
    def append(self, name: str, columns: Columns, vectors: Array | None = None) -> None:
        """Append rows to a table: columns of equal length R and vectors (R, D) float32."""


class NpyTables(VectorTables):
    """Writer of npy and TSV files."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__(folder, width)
        self.versions, self.num_vectors = {"numpy": np.__version__}, 0
        self.streams: dict[str, BinaryIO] = {}

    def write_items(
        self, ids: Sequence[str], titles: Sequence[str], counts: Sequence[int], vectors: Array
    ) -> None:
        """Write the item table: vectors (M, D) float32."""
        catalogue.write_items(self.folder / "items.tsv", ids, counts, titles)
        np.save(self.folder / "items.npy", vectors, allow_pickle=False)

    def append(self, name: str, columns: Columns, vectors: Array | None = None) -> None:
        """Append lines, and the vectors of interests to an npy file."""
        rows = zip(*columns.values(), strict=True)
        lines = [tsv_line(*(escape(str(x)) for x in row)) for row in rows]
        self.open(f"{name}.tsv", tsv_line(*columns).encode()).write("".join(lines).encode())
        if vectors is not None:
            stream = self.open(f"{name}.npy", npy_header(0, self.width))
            if not self.num_vectors:
                self.callback(self.complete_header, stream)
            stream.write(vectors.tobytes())
            self.num_vectors += len(vectors)

    def complete_header(self, stream: BinaryIO) -> None:
        """Write the number of rows; the header of NumPy has the same length for any number."""
        stream.seek(0)
        stream.write(npy_header(self.num_vectors, self.width))

    def open(self, name: str, header: bytes) -> BinaryIO:
        """Return a file that is closed with this writer; a new file gets its header."""
        if name not in self.streams:
            self.streams[name] = self.enter_context((self.folder / name).open("xb"))
            self.streams[name].write(header)
        return self.streams[name]


def npy_header(rows: int, width: int) -> bytes:
    """Return the header of an npy file of float32 (rows, width)."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


class ParquetTables(VectorTables):
    """Writer of Parquet files. Raises ConfigError without pyarrow."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__(folder, width)
        self.arrow, self.parquet = import_pyarrow()
        self.versions = {"pyarrow": self.arrow.__version__}
        self.writers: dict[str, ParquetWriter] = {}

    def write_items(
        self, ids: Sequence[str], titles: Sequence[str], counts: Sequence[int], vectors: Array
    ) -> None:
        """Write the item table. Characters of titles without UTF-8 encoding are escaped."""
        for start in range(0, max(len(ids), 1), ROWS):
            block = slice(start, start + ROWS)
            escaped = [x.encode("utf-8", "backslashreplace").decode() for x in titles[block]]
            columns: Columns = {"id": ids[block], "title": escaped, "count": counts[block]}
            self.append("items", columns, vectors[block])

    def append(self, name: str, columns: Columns, vectors: Array | None = None) -> None:
        """Write a row group of a table. Raises DataError for an id that UTF-8 cannot encode."""
        arrays = {column: self.column(column, values) for column, values in columns.items()}
        if vectors is not None:
            numbers = self.arrow.array(vectors.reshape(-1), "float32")
            arrays["vector"] = self.arrow.FixedSizeListArray.from_arrays(numbers, self.width)
        table = self.arrow.table(arrays)
        if name not in self.writers:
            repeated = [column for column in columns if column in ("user", "item")]
            path = self.folder / f"{name}.parquet"
            writer = self.parquet.ParquetWriter(path, table.schema, use_dictionary=repeated)
            self.writers[name] = self.enter_context(writer)
        self.writers[name].write_table(table)

    def column(self, name: str, values: Sequence[str] | Sequence[int] | Ints) -> pa.Array:
        """Return the values of a column. Raises DataError for an id that UTF-8 cannot encode."""
        try:
            return self.arrow.array(values, "int64" if name in INTEGERS else "string")
        except UnicodeEncodeError as error:
            location = f"{'item' if name == 'id' else name} {error.object!a}"
            todo = "use --format npy, which escapes it"
            message = say(location, "an id that UTF-8 can encode", error, todo)
            raise DataError(message) from error  # serving-R7


def import_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and pyarrow.parquet. Raises ConfigError if pyarrow is not installed."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        todo = f"{install_extra('parquet')}, or use --format npy"
        raise ConfigError(say("--format parquet", "pyarrow", "none", todo)) from error
    return arrow, parquet


TABLES: dict[str, type[VectorTables]] = {"parquet": ParquetTables, "npy": NpyTables}
FORMATS = tuple(TABLES)


def check_vector_format(form: str) -> None:
    """Raise ConfigError for an unknown format, and for Parquet without pyarrow."""
    if form not in FORMATS:
        raise ConfigError(say("--format", " or ".join(FORMATS), repr(form)))
    if form == "parquet":
        import_pyarrow()
