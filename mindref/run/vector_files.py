"""Tables of vectors as Parquet files for other engines.

    items.parquet       id, title, count, vector
    interests.parquet   user, interest, vector
    histories.parquet   user, item

Vectors are float32. Spec: specs/serving.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mindref.errors import ConfigError, DataError, say
from mindref.process.requirements import install_extra
from mindref.shapes import Array, Ints

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

ROWS = 1 << 16  # rows of the item table per row group of Parquet


Columns = Mapping[str, Sequence[str] | Sequence[int] | Ints]
INTEGERS = ("count", "interest")  # columns of integers; all others are text


class VectorTables(ExitStack):
    """Writer of the tables. A table is opened when its first rows are written.

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
        """Write the item table: vectors (M, D) float32.

        Characters of titles without UTF-8 encoding are escaped.
        """
        for start in range(0, max(len(ids), 1), ROWS):
            block = slice(start, start + ROWS)
            escaped = [x.encode("utf-8", "backslashreplace").decode() for x in titles[block]]
            columns: Columns = {"id": ids[block], "title": escaped, "count": counts[block]}
            self.append("items", columns, vectors[block])

    def append(self, name: str, columns: Columns, vectors: Array | None = None) -> None:
        """Append a row group to a table: columns of equal length R and vectors (R, D) float32.

        Raises DataError for an id that UTF-8 cannot encode.
        """
        arrays = {column: self.column(column, values) for column, values in columns.items()}
        if vectors is not None:
            numbers = self.arrow.array(vectors.reshape(-1), "float32")
            arrays["vector"] = self.arrow.FixedSizeListArray.from_arrays(numbers, self.width)
        table = self.arrow.table(arrays)
        if name not in self.writers:
            repeated = [column for column in columns if column in ("user", "item")]
            # a file of Python, whose errors name the file and the reason
            stream = self.enter_context((self.folder / f"{name}.parquet").open("xb"))
            writer = self.parquet.ParquetWriter(stream, table.schema, use_dictionary=repeated)
            self.writers[name] = self.enter_context(writer)
        self.writers[name].write_table(table)

    def column(self, name: str, values: Sequence[str] | Sequence[int] | Ints) -> pa.Array:
        """Return the values of a column. Raises DataError for an id that UTF-8 cannot encode."""
        try:
            return self.arrow.array(values, "int64" if name in INTEGERS else "string")
        except UnicodeEncodeError as error:
            location = f"{'item' if name == 'id' else name} {error.object!a}"
            message = say(location, "an id that UTF-8 can encode", error, "rename it in the log")
            raise DataError(message) from error  # serving-R7


def import_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and pyarrow.parquet. Raises ConfigError if pyarrow is not installed."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        todo = install_extra("parquet")
        raise ConfigError(say("--to vectors", "pyarrow", "none", todo)) from error
    return arrow, parquet
