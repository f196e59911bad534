"""The data blocks of the page: a list of arrays with checksums, and compressed JSON.

The list has each distinct array once, as base64, because variants of one user share most arrays.
All other content is repetitive text and is compressed.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

LONG = 40  # smallest number of characters of a pooled text
UNUSED = ("latex", "sha256")  # parts of a step that the page does not use


class Blocks(NamedTuple):
    """The text of the two data elements of the page."""

    arrays: str  # JSON: a list of [text, CRC-32], see `encode_array`
    content: str  # base64 of deflated JSON


def pack_blocks(
    traces: Sequence[Mapping[str, Any]], derived: Sequence[Mapping[str, Any]]
) -> Blocks:
    """Return the data blocks. They contain no "<", so a title with a closing tag has no effect.

    In the content, {"$": 3} is text 3 of the pool, and the data of an array is its index in the
    list of arrays.
    """
    arrays: dict[str, int] = {}
    nested = replace_arrays({"traces": list(traces), "derived": list(derived)}, arrays)
    counts = Counter(long_texts(nested))
    pool = [text for text, count in counts.items() if count > 1]
    places = {text: index for index, text in enumerate(pool)}
    block = {"format": "mindref.page/1", "pool": pool, "content": replace_texts(nested, places)}
    text = json.dumps(block, separators=(",", ":"), allow_nan=False)
    checked = [encode_array(data) for data in arrays]
    return Blocks(json.dumps(checked, separators=(",\n", ",")), deflate(text))


def deflate(text: str) -> str:
    """Return a text deflated, as base64."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def encode_array(data: str) -> tuple[str, int]:
    """Return an array as base64 with run lengths of zeros, and the CRC-32 of its bytes.

    Eight or more consecutive A (six zero bytes) are written as *count;.
    """
    counted = re.sub(r"A{8,}", lambda run: f"*{len(run[0])};", data)
    return counted, zlib.crc32(base64.b64decode(data))


def replace_arrays(value: Any, arrays: dict[str, int]) -> Any:
    """Return a copy with array data replaced by indices into `arrays`, which is extended."""
    if isinstance(value, Mapping):
        fields = {
            key: replace_arrays(part, arrays) for key, part in value.items() if key not in UNUSED
        }
        if "dtype" in value and isinstance(value.get("data"), str):
            fields["data"] = arrays.setdefault(value["data"], len(arrays))
        return fields
    if isinstance(value, (list, tuple)):
        return [replace_arrays(part, arrays) for part in value]
    return value


def long_texts(value: Any) -> Iterator[str]:
    """Yield every long text of nested lists and objects."""
    if isinstance(value, str):
        if len(value) >= LONG:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from long_texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from long_texts(part)


def replace_texts(value: Any, places: Mapping[str, int]) -> Any:
    """Return a copy with pooled texts replaced by their indices."""
    if isinstance(value, str):
        return {"$": places[value]} if value in places else value
    if isinstance(value, Mapping):
        return {key: replace_texts(part, places) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_texts(part, places) for part in value]
    return value
