"""Tables of vectors as files for other engines: Parquet, or npy with TSV.

    parquet   items.parquet (id, title, count, vector), interests.parquet (user, interest, vector),
              histories.parquet (user, item)
    npy       items.npy and items.tsv, interests.npy and interests.tsv (user, interest),
              histories.tsv (user, item); row i of an .npy file belongs to line i after the header

Vectors are float32. Spec: specs/serving.md.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mindref.errors import ConfigError, DataError, say
from mindref.process.requirements import install_extra
from mindref.run import items as catalogue
from mindref.run.tsv import escape
from mindref.shapes import Array, Ints

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

ROWS = 1 << 16  # rows of the item table per row group of Parquet


class NpyTables(ExitStack):
    """Writer of npy and TSV files. The tables of users are opened on first use."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__()
        self.folder, self.width, self.interests = folder, width, 0
        self.versions = {"numpy": np.__version__}
        self.streams: dict[str, BinaryIO] = {}

    def write_items(
        self, ids: Sequence[str], titles: Sequence[str], counts: Sequence[int], vectors: Array
    ) -> None:
        """Write the item table: vectors (M, D) float32."""
        catalogue.write_items(self.folder / "items.tsv", ids, counts, titles)
        np.save(self.folder / "items.npy", vectors, allow_pickle=False)

    def write_interests(self, users: Sequence[str], interests: Ints, vectors: Array) -> None:
        """Append rows: user ids, interests (R,) and vectors (R, D) float32."""
        rows = zip(map(escape, users), interests.tolist(), strict=True)
        lines = [f"{user}\t{interest}\n" for user, interest in rows]
        self.append("interests.tsv", b"user\tinterest\n", "".join(lines).encode())
        self.append("interests.npy", npy_header(0, self.width), vectors.tobytes())
        self.interests += len(vectors)
        stream = self.streams["interests.npy"]
        stream.seek(0)  # NumPy reserves room for the number of rows
        stream.write(npy_header(self.interests, self.width))
        stream.seek(0, os.SEEK_END)

    def write_histories(self, users: Sequence[str], items: Sequence[str]) -> None:
        """Append one row for each behaviour: user id and item id."""
        rows = zip(map(escape, users), map(escape, items), strict=True)
        lines = [f"{user}\t{item}\n" for user, item in rows]
        self.append("histories.tsv", b"user\titem\n", "".join(lines).encode())

    def append(self, name: str, header: bytes, content: bytes) -> None:
        """Append to a file that is closed with this writer; a new file gets its header."""
        if name not in self.streams:
            self.streams[name] = self.enter_context((self.folder / name).open("xb"))
            self.streams[name].write(header)
        self.streams[name].write(content)


def npy_header(rows: int, width: int) -> bytes:
    """Return the header of an npy file of float32 (rows, width)."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


class ParquetTables(ExitStack):
    """Writer of Parquet files. The tables of users are opened on first use.

    Raises ConfigError without pyarrow.
    """

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__()
        self.folder, self.width = folder, width
        self.arrow, self.parquet = import_pyarrow()
        self.versions = {"pyarrow": self.arrow.__version__}
        self.writers: dict[str, ParquetWriter] = {}

    def write_items(
        self, ids: Sequence[str], titles: Sequence[str], counts: Sequence[int], vectors: Array
    ) -> None:
        """Write the item table: vectors (M, D) float32. Raises DataError for an id without UTF-8.

        Titles are only displayed: characters without UTF-8 encoding are escaped.
        """
        for start in range(0, max(len(ids), 1), ROWS):
            block = slice(start, start + ROWS)
            columns = {
                "id": self.texts("item", ids[block]),
                "title": self.arrow.array([utf8_title(title) for title in titles[block]], "string"),
                "count": self.arrow.array(counts[block], "int64"),
                "vector": self.vectors(vectors[block]),
            }
            self.append("items", columns)

    def write_interests(self, users: Sequence[str], interests: Ints, vectors: Array) -> None:
        """Append rows: user ids, interests (R,) and vectors (R, D) float32."""
        columns = {
            "user": self.texts("user", users),
            "interest": self.arrow.array(interests, "int64"),
            "vector": self.vectors(vectors),
        }
        self.append("interests", columns)

    def write_histories(self, users: Sequence[str], items: Sequence[str]) -> None:
        """Append one row for each behaviour: user id and item id."""
        columns = {"user": self.texts("user", users), "item": self.texts("item", items)}
        self.append("histories", columns)

    def append(self, name: str, columns: dict[str, pa.Array]) -> None:
        """Write a row group of a table."""
        table = self.arrow.table(columns)
        if name not in self.writers:
            repeated = [column for column in columns if column in ("user", "item")]
            path = self.folder / f"{name}.parquet"
            writer = self.parquet.ParquetWriter(path, table.schema, use_dictionary=repeated)
            self.writers[name] = self.enter_context(writer)
        self.writers[name].write_table(table)

    def vectors(self, vectors: Array) -> pa.Array:
        """Return vectors (R, D) as a column of lists of fixed length."""
        values = self.arrow.array(vectors.reshape(-1), "float32")
        return self.arrow.FixedSizeListArray.from_arrays(values, self.width)

    def texts(self, kind: str, ids: Sequence[str]) -> pa.Array:
        """Return ids as a column. Raises DataError for an id that UTF-8 cannot encode."""
        try:
            return self.arrow.array(ids, "string")
        except UnicodeEncodeError as error:
            todo = "use --format npy, which escapes it"
            raise DataError(
                say(f"{kind} {error.object!a}", "an id that UTF-8 can encode", error, todo)
            ) from error  # serving-R7


def utf8_title(title: str) -> str:
    """Return a title with lone surrogates as escapes."""
    return title.encode("utf-8", "backslashreplace").decode()


def import_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and pyarrow.parquet. Raises ConfigError if pyarrow is not installed."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        todo = f"{install_extra('parquet')}, or use --format npy"
        raise ConfigError(say("--format parquet", "pyarrow", "none", todo)) from error
    return arrow, parquet


TABLES: dict[str, type[ParquetTables | NpyTables]] = {"parquet": ParquetTables, "npy": NpyTables}
FORMATS = tuple(TABLES)


def check_vector_format(form: str) -> None:
    """Raise ConfigError for an unknown format, and for Parquet without pyarrow."""
    if form not in FORMATS:
        raise ConfigError(say("--format", " or ".join(FORMATS), repr(form)))
    if form == "parquet":
        import_pyarrow()
