"""Checks of run metadata: facts in config.json, and headers of files of arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import isfinite
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
IDENTITY_FACTS = (
    "protocol", "exclude_seen", "threads", "processes", "sizes", "user_features", "log",
)  # fmt: skip
"""Facts that identify a run; the other facts are the path of the log and the catalogue."""

OPTIONS: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "columns": (dict, type(None)),
    "item_file": (str, type(None)),
    "user_file": (str, type(None)),
    "max_bad_lines": (int, str),
    "keep_duplicates": (bool,),
    "keep_unused_items": (bool,),
    "min_user_interactions": (int,),
    "min_item_interactions": (int,),
    "min_item_users": (int,),
    "seed": (int,),  # options of the built-in catalogue: seed, users, items
    "users": (int,),
    "items": (int,),
}
"""Reading option of a log -> types of its value."""
LARGEST = 1 << 20  # users or items of a built-in catalogue; this many take minutes and a few GB

SIZES = ("items", "item_rows", "profile_rows", "profile_features")


def check_facts(words: Mapping[str, Any]) -> None:
    """Raise ValueError or KeyError unless these are the facts of a run."""
    for name, kind in FACTS.items():
        if not isinstance(words[name], kind):
            raise ValueError(f"{name} is {words[name]!r}")
    if not isinstance(words.get("preset_choice", {}), dict):
        raise ValueError(f"preset_choice is {words['preset_choice']!r}")
    check_start(words.get("start_from"))
    if not is_time(words.get("last_time", 0.0)):
        raise ValueError(f"last_time is {words['last_time']!r}")
    counts = {name: words[name] for name in ("interactions", "log_bytes") if name in words}
    if not all(is_count(x) for x in counts.values()):
        raise ValueError(f"a number is not one: {counts!r}")
    source, sizes, features = words["source"], words["sizes"], words["user_features"]
    kinds = {name: type(value) for name, value in source.items()}
    if kinds != {"place": str, "options": dict}:
        raise ValueError(f"source is {source!r}")
    check_source(source["place"], source["options"])
    if sorted(sizes) != sorted(SIZES) or not all(is_count(x) for x in sizes.values()):
        raise ValueError(f"sizes is {sizes!r}")
    check_feature_values("user", features)
    rows = sum(1 + len(values) for values in features.values())
    if (rows, len(features)) != (sizes["profile_rows"], sizes["profile_features"]):
        raise ValueError(f"{rows} rows of {len(features)} user features, not as sizes has them")
    item_features = words.get("item_features", {})
    check_feature_values("item", item_features)
    rows = sum(len(values) for values in item_features.values())
    if item_features and rows != sizes["item_rows"] - sizes["items"]:
        raise ValueError(f"{rows} values of item features, not as sizes has them")


def check_feature_values(kind: str, features: Mapping[str, Any]) -> None:
    """Raise ValueError unless the values of each feature are texts."""
    for name, values in features.items():
        if not isinstance(values, list) or not all(isinstance(x, str) for x in values):
            raise ValueError(f"values of the {kind} feature {name!r} that are no texts")


def check_start(start: Any) -> None:
    """Raise ValueError unless this is the entry of a warm start, or None."""
    if start is not None:
        texts, counts = ("run", "model"), ("step", "items", "new_items")
        is_valid = all(isinstance(start[x], str) for x in texts)
        values = [start[x] for x in counts]
        values += [start.get(x, 0) for x in ("trained_items", "left_out_items")]
        if not is_valid or not all(map(is_count, values)):
            raise ValueError(f"start_from is {start!r}")
        for training in start.get("trained_on", ()):
            check_training(training)


def check_training(words: Mapping[str, Any]) -> None:
    """Raise ValueError unless this describes what an earlier run was trained on."""
    texts, numbers = ("run", "model", "split", "log"), ("seed", "interactions", "last_time")
    if not isinstance(words, Mapping) or sorted(words) != sorted([*texts, *numbers]):
        raise ValueError(f"trained_on has {words!r}")
    is_valid = all(isinstance(words[x], str) for x in texts)
    seed, last_time = words["seed"], words["last_time"]
    is_valid = is_valid and isinstance(seed, int) and 0 <= seed < 1 << 63
    is_valid = is_valid and is_count(words["interactions"])
    if not is_valid or not (last_time is None or is_time(last_time)):
        raise ValueError(f"trained_on has {words!r}")


def check_din_facts(words: Mapping[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError unless these are the facts of a DIN run."""
    recall = words["recall"]
    texts = (recall["run"], recall["model"], words["log"], words["items"])
    if not all(isinstance(x, str) for x in texts):
        raise ValueError("recall run, log and items that are no texts")
    check_path(recall["run"])


def check_source(path: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError unless the path and the reading options of a log are valid."""
    check_path(path)
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
    """Raise ValueError unless a text can be the path of a file."""
    if b"\0" in os.fsencode(text):  # raises for characters that no file name has
        raise ValueError(f"{text!r} is no name of a file")


def check_header(words: Mapping[str, Any], family: str | None) -> None:
    """Raise ValueError unless the header of a file of arrays has values of the right types.

    family: required family, None for any. A file without a family name is of MIND.
    """
    written = words.get("model", "mind")
    if family is not None and written != family:
        raise ValueError(f"model is {written!r}, not {family!r}")
    for name in ("step", "best_step", "waited"):
        if name in words and not is_count(words[name]):
            raise ValueError(f"{name} is {words[name]!r}")
    if not is_number(words.get("best_value", 0)):
        raise ValueError(f"best_value is {words['best_value']!r}")
    total, count = words.get("losses", (0, 0))
    if not is_number(total) or not is_count(count):
        raise ValueError(f"losses is {words['losses']!r}")
    used = words.get("time", ())
    if not (isinstance(used, list | tuple) and all(is_number(x) and 0 <= x < 1e12 for x in used)):
        raise ValueError(f"time is {used!r}")
    for validation in words.get(validations_name(words), ()):
        value = validation["value"]
        if not is_count(validation["step"]) or not is_number(validation["loss"]):
            raise ValueError(f"a validation is {validation!r}")
        if value is not None and not is_number(value):  # None without validation
            raise ValueError(f"a validation is {validation!r}")


def validations_name(words: Mapping[str, Any]) -> str:
    """Return the name of the list of validations in the header of a state."""
    return "epochs" if "epochs" in words else "validations"  # epochs: older files


def is_time(value: object) -> bool:
    """Return whether a value is a finite number of seconds, which may be negative."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_number(value: object) -> bool:
    """Return whether a value is a float or a count."""
    return isinstance(value, float) or is_count(value)


def is_count(value: object) -> bool:
    """Return whether a value is a non-negative integer and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
