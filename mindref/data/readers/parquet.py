"""Format `parquet`, read by the extra `parquet`. Row numbers replace line numbers."""

from __future__ import annotations

from mindref.data.assemble import RawLog
from mindref.data.readers.columns import ReaderInput
from mindref.data.readers.lines import Head
from mindref.errors import DataError, say
from mindref.process.memory import ARROW_ADDRESS_SPACE, MIN_ADDRESS_SPACE, check_address_space
from mindref.process.requirements import install_extra

MAGIC = b"PAR1"


def is_parquet(head: Head) -> bool:
    """Return whether the file begins as Parquet files do."""
    return head.start == MAGIC


def read_parquet(source: ReaderInput) -> RawLog:
    """Read one batch of rows after another, of the used columns only."""
    file = source.file
    check_address_space(MIN_ADDRESS_SPACE + ARROW_ADDRESS_SPACE, f"memory, to read {file}")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        todo = install_extra("parquet")
        raise DataError(say(str(file), "pyarrow, which reads Parquet", "none", todo)) from error
    from mindref.data.readers.parquet_file import read_rows

    return read_rows(source)
