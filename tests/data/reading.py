"""Write small invented logs, and read them."""

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import InteractionLog
from mindref.data.readers import read_log
from tests.faults.logs import archive, pack

PACKINGS = ("plain", "gzip", "zip")
CSV = {"user": 1, "item": 2, "time": 3}  # the columns of `user,item,time` lines


def write(path: Path, content: str | bytes | Sequence[str], packing: str = "plain") -> Path:
    """Write text (UTF-8), bytes or lines. Compressed files have the same name."""
    if not isinstance(content, str | bytes):
        content = "".join(line + "\n" for line in content)
    data = content.encode() if isinstance(content, str) else content
    packed = archive({"inner.txt": data}) if packing == "zip" else pack(data, packing)
    path.write_bytes(packed)
    return path


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.write_bytes(archive(files, method))
    return path


def table(path: Path, content: str | bytes | Sequence[str], **options: Any) -> InteractionLog:
    columns = {**CSV, **options.pop("columns", {})}
    return read_log(write(path / "log.csv", content), columns=columns, **options)


def rows(log: InteractionLog) -> dict[str, list[str]]:
    """Return user -> items by their external ids."""
    return {
        user: [log.item_ids[item] for item in log.interactions.row(u)]
        for u, user in enumerate(log.user_ids)
    }


def times(log: InteractionLog) -> list[float]:
    return log.times.tolist()


def values(log: InteractionLog, feature: str, kind: str = "item") -> dict[str, list[str]]:
    """Return id -> values of a feature."""
    ids, features = log.item_ids, log.item_features
    if kind == "user":
        ids, features = log.user_ids, log.user_features
    (found,) = [one for one in features if one.name == feature]
    return {name: [found.values[c] for c in found.codes.row(i)] for i, name in enumerate(ids)}


def plain(value: Any) -> Any:
    """Return a value whose equality is exact: arrays become their type and bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return plain(dataclasses.astuple(value))
    return tuple(map(plain, value)) if isinstance(value, tuple | list) else value
