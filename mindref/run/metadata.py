"""What config.json holds beside the settings, and files of arrays beside the arrays.

What it must be, and what makes a run what it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

FACTS = {
    "source": dict,
    "protocol": str,
    "exclude_seen": bool,
    "sizes": dict,
    "user_features": dict,
    "log": str,
    "items": str,  # sha256 of items.tsv
}
OWN = ("protocol", "exclude_seen", "threads", "processes", "sizes", "user_features", "log")
"""The facts that make a run what it is; the others say where its log lies, and what is beside."""

OPTIONS: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "columns": (dict, type(None)),
    "item_file": (str, type(None)),
    "user_file": (str, type(None)),
    "max_bad_lines": (int, str),
    "keep_duplicates": (bool,),
    "seed": (int,),  # this one, and what follows, of the built-in catalogue
    "users": (int,),
    "items": (int,),
}
"""How a log may be read again -> the types of it."""
LARGEST = 1 << 20  # users or items of a built-in catalogue: minutes, and a few GB

SIZES = ("items", "item_rows", "profile_rows", "profile_features")


def check(words: Mapping[str, Any]) -> None:
    """Raise ValueError or KeyError unless these are the facts of a run."""
    for name, kind in FACTS.items():
        if not isinstance(words[name], kind):
            raise ValueError(f"{name} is {words[name]!r}")
    source, sizes, features = words["source"], words["sizes"], words["user_features"]
    kinds = {name: type(value) for name, value in source.items()}
    if kinds != {"place": str, "options": dict}:
        raise ValueError(f"source is {source!r}")
    check_source(source["place"], source["options"])
    if sorted(sizes) != sorted(SIZES) or not all(is_count(x) for x in sizes.values()):
        raise ValueError(f"sizes is {sizes!r}")
    for name, values in features.items():
        if not isinstance(values, list) or not all(isinstance(x, str) for x in values):
            raise ValueError(f"values of the user feature {name!r} that are no texts")
    rows = sum(1 + len(values) for values in features.values())
    if (rows, len(features)) != (sizes["profile_rows"], sizes["profile_features"]):
        raise ValueError(f"{rows} rows of {len(features)} user features, not as sizes has them")


def check_source(place: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError unless a log may be looked for there, and read so."""
    check_path(place)
    for name, value in options.items():
        if type(value) not in OPTIONS.get(name, ()):
            raise ValueError(f"{name} of the source is {value!r}")
        if name in ("seed", "users", "items") and not is_count(value):
            raise ValueError(f"{name} of the source is {value!r}")
        if name in ("users", "items") and value > LARGEST:
            raise ValueError(f"{name} of the source is {value:,}, more than {LARGEST:,}")
        if name.endswith("_file") and value is not None:
            check_path(value)


def check_path(text: str) -> None:
    """Raise ValueError unless a text can name a file."""
    if b"\0" in os.fsencode(text):  # which raises for letters that no name has
        raise ValueError(f"{text!r} is no name of a file")


def check_header(words: Mapping[str, Any], model: str | None) -> None:
    """Raise ValueError unless the words of a file of arrays are of their types.

    model: the family that the file must be of, if it must; a file without a word of it is MIND's.
    """
    if model is not None and words.get("model", "mind") != model:
        raise ValueError(f"model is {words['model']!r}, not {model!r}")
    for name in ("step", "best_step", "waited"):
        if name in words and not is_count(words[name]):
            raise ValueError(f"{name} is {words[name]!r}")
    if not is_number(words.get("best_value", 0)):
        raise ValueError(f"best_value is {words['best_value']!r}")
    total, count = words.get("losses", (0, 0))
    if not is_number(total) or not is_count(count):
        raise ValueError(f"losses is {words['losses']!r}")
    for epoch in words.get("epochs", ()):
        if not is_count(epoch["step"]) or not all(is_number(epoch[x]) for x in ("loss", "value")):
            raise ValueError(f"an epoch is {epoch!r}")


def is_number(value: object) -> bool:
    """Return whether a value is a number that a float holds."""
    return isinstance(value, float) or is_count(value)


def is_count(value: object) -> bool:
    """Return whether a value is a number of something, true and false being none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
