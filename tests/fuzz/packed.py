"""The same bytes as a plain file, compressed, or in a folder or an archive with other files."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

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
