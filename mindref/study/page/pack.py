"""Traces and extras as blocks of the page: every array plain, with its checksum, the rest deflated.

Arrays stand in one list, each once, as base64 of their bytes: variants of one user share most of
them. The rest is text, which repeats itself; it is compressed, as the file is to stay small.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

LONG = 40  # characters from which a text is worth a place in the pool
UNUSED = ("latex", "sha256")  # parts of a step that the page does not show


class Blocks(NamedTuple):
    """What stands in the two data elements of the page."""

    arrays: str  # JSON: a list of [text, CRC-32], see `stored`
    content: str  # base64 of deflated JSON


def packed(traces: Sequence[Mapping[str, Any]], extras: Sequence[Mapping[str, Any]]) -> Blocks:
    """Return the blocks; neither holds a "<", so a title with a closing tag does no harm.

    In the content {"$": 3} is the third long text of the pool, and the data of an array is its
    place in the list.
    """
    arrays: dict[str, int] = {}
    whole = listed({"traces": list(traces), "extras": list(extras)}, arrays)
    counts = Counter(texts(whole))
    pool = [text for text, count in counts.items() if count > 1]
    places = {text: place for place, text in enumerate(pool)}
    block = {"format": "mindref.page/1", "pool": pool, "content": pooled(whole, places)}
    text = json.dumps(block, separators=(",", ":"), allow_nan=False)
    checked = [stored(data) for data in arrays]
    content = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return Blocks(json.dumps(checked, separators=(",\n", ",")), content)


def stored(data: str) -> tuple[str, int]:
    """Return an array as it stands in the list: base64 with its zeros counted, and the CRC-32.

    A run of eight A or more, six zero bytes, is written as *count; as padding is all zeros.
    """
    counted = re.sub(r"A{8,}", lambda run: f"*{len(run[0])};", data)
    return counted, zlib.crc32(base64.b64decode(data))


def listed(value: Any, arrays: dict[str, int]) -> Any:
    """Return the same nest, the data of arrays replaced by places in the list, which grows."""
    if isinstance(value, Mapping):
        kept = {key: listed(part, arrays) for key, part in value.items() if key not in UNUSED}
        if "dtype" in value and isinstance(value.get("data"), str):
            kept["data"] = arrays.setdefault(value["data"], len(arrays))
        return kept
    if isinstance(value, (list, tuple)):
        return [listed(part, arrays) for part in value]
    return value


def decoded(tensor: Mapping[str, Any]) -> bytes:
    """Return the bytes of a tensor, little-endian, in C order."""
    return base64.b64decode(tensor["data"])


def texts(value: Any) -> Iterator[str]:
    """Yield every long text in a nest of lists and objects."""
    if isinstance(value, str):
        if len(value) >= LONG:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from texts(part)


def pooled(value: Any, places: Mapping[str, int]) -> Any:
    """Return the same nest with the texts of the pool replaced by their places."""
    if isinstance(value, str):
        return {"$": places[value]} if value in places else value
    if isinstance(value, Mapping):
        return {key: pooled(part, places) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [pooled(part, places) for part in value]
    return value
