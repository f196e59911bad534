"""log.safetensors: the log of a run whose log was data in memory.

A log in a file is read again from its path. Data in memory have no path, so the run has the log:
histories, times, ids, titles and features, about 10 bytes for each interaction and the texts.
Without this file, the run recommends for histories, and not for users.

Spec: specs/security.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Feature, InteractionLog, Ints, Ragged
from mindref.errors import RunError, say
from mindref.run.array_files import FORMAT, LOG, Numbers, load_arrays, save_arrays
from mindref.run.files import StoredFile
from mindref.run.tsv import escape, unescape

NAME_DATA = "name a file with the log (--data), or in Python call with_log with the data"
KINDS = ("user", "item")  # of ids and features


class MissingLogError(RunError):
    """A run whose log was data in memory, and is not stored."""

    def __init__(self) -> None:
        super().__init__(say("log of the run", "a file", "data in memory, not stored", NAME_DATA))


class StoredLog(NamedTuple):
    """The stored log of a run, read on request."""

    run: Path
    identity: str  # digest of the run

    def read(self) -> InteractionLog:
        """Return the log. Raises RunError for a missing or damaged file, or that of another run."""
        path = self.run / LOG
        if not path.exists():
            raise MissingLogError
        arrays, words = load_arrays(path, self.identity)
        with StoredFile(path, "a log of mindref", NAME_DATA).explain_errors():  # security-R10
            ids = {kind: parse_texts(arrays[f"{kind}_ids"]) for kind in KINDS}
            interactions = parse_rows(arrays, "interactions", len(ids["user"]), len(ids["item"]))
            features: dict[str, list[Feature]] = {kind: [] for kind in KINDS}
            for kind in KINDS:
                for number, name in enumerate(words["features"][kind]):
                    values, part = parse_texts(arrays[f"{kind}.{number}"]), f"{kind}.{number}.codes"
                    codes = parse_rows(arrays, part, len(ids[kind]), len(values))
                    features[kind].append(Feature(str(name), values, codes))
            times = arrays.get("times")
            titles = parse_texts(arrays["titles"]) if "titles" in arrays else None
            sizes = len(interactions.values), len(ids["item"])
            if (len(times) if times is not None else sizes[0], len(titles or ids["item"])) != sizes:
                raise ValueError(f"other numbers of times and titles than {sizes}")
            return InteractionLog(
                interactions=interactions,
                times=None if times is None else times.astype(np.float64),
                user_ids=ids["user"],
                item_ids=ids["item"],
                titles=titles,
                item_features=features["item"],
                user_features=features["user"],
                integer_ids=[kind for kind in KINDS if kind in words["integer_ids"]],
            )


def save_log(run: Path, log: InteractionLog, identity: str) -> None:
    """Write the log of the run with this digest."""
    features = {"item": log.item_features, "user": log.user_features}
    arrays: dict[str, Numbers] = {
        "user_ids": texts_array(log.user_ids),
        "item_ids": texts_array(log.item_ids),
        **row_arrays("interactions", log.interactions),
    }
    if log.times is not None:
        arrays["times"] = log.times
    if log.titles is not None:
        arrays["titles"] = texts_array(log.titles)
    for kind in KINDS:
        for number, feature in enumerate(features[kind]):
            arrays[f"{kind}.{number}"] = texts_array(feature.values)
            arrays |= row_arrays(f"{kind}.{number}.codes", feature.codes)
    names = {kind: [x.name for x in features[kind]] for kind in KINDS}
    words = {"format": FORMAT, "run": identity, "features": names}
    save_arrays(run / LOG, arrays, {**words, "integer_ids": list(log.integer_ids)})


def row_arrays(name: str, rows: Ragged) -> dict[str, Numbers]:
    """Return lengths and values of rows, in the smallest type of integers."""
    arrays = {f"{name}.lengths": rows.lengths, f"{name}.values": rows.values}
    return {key: x.astype(np.min_scalar_type(x.max(initial=0))) for key, x in arrays.items()}


def parse_rows(arrays: dict[str, Numbers], name: str, count: int, columns: int) -> Ragged:
    """Return `count` rows of values below `columns`. Raises ValueError for other arrays."""
    lengths, values = (integer_array(arrays[f"{name}.{part}"]) for part in ("lengths", "values"))
    if len(lengths) != count or lengths.min(initial=0) < 0 or lengths.sum() != len(values):
        raise ValueError(f"{name}: lengths of {len(values)} values in {count} rows")
    if values.min(initial=0) < 0 or values.max(initial=-1) >= columns:
        raise ValueError(f"{name}: values from {values.min()} to {values.max()}, of {columns}")
    return Ragged(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


def integer_array(array: Numbers) -> Ints:
    """Return integers of one dimension as int64. Raises ValueError for another array."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"an array of {array.dtype} {array.shape}")
    return array.astype(np.int64)


def texts_array(texts: Sequence[str]) -> Numbers:
    """Return texts as UTF-8 bytes, one escaped line for each."""
    return np.frombuffer("".join(f"{escape(x)}\n" for x in texts).encode(), np.uint8)


def parse_texts(array: Numbers) -> list[str]:
    """Return the texts of `texts_array`."""
    lines = array.astype(np.uint8).tobytes().decode().split("\n")
    return [unescape(line) for line in lines[:-1]]
