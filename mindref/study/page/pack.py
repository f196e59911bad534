"""Traces and extras as one block of JSON: every long text once, every array with its checksum."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LONG = 40  # characters from which a text is worth a place in the pool


def packed(traces: Sequence[Mapping[str, Any]], extras: Sequence[Mapping[str, Any]]) -> str:
    """Return the block as text that can stand inside a script element.

    Texts that occur twice or more, such as the arrays that traces of one user share, are stored
    once: {"$": 3} is the third of the pool.
    """
    whole = {"traces": [checked(trace) for trace in traces], "extras": list(extras)}
    counts = Counter(texts(whole))
    pool = [text for text, count in counts.items() if count > 1]
    places = {text: place for place, text in enumerate(pool)}
    block = {"format": "mindref.page/1", "pool": pool, "content": pooled(whole, places)}
    text = json.dumps(block, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")  # a title may hold a closing tag


def checked(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trace whose tensors carry the CRC-32 of their bytes."""
    steps = [
        {**step, "outputs": [{**x, "crc": zlib.crc32(decoded(x))} for x in step["outputs"]]}
        for step in trace["steps"]
    ]
    return {**trace, "steps": steps}


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
