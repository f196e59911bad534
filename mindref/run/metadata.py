"""Declarations of run metadata: facts in config.json, and headers of files of arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypeAlias, TypedDict

from mindref.arguments import is_path
from mindref.run.stored_json import (
    LONGEST_INTEGER,
    Count,
    Finite,
    InvalidValue,
    Rule,
    check_json,
    number_range,
)

IDENTITY_FACTS = (
    "protocol", "exclude_seen", "threads", "processes", "sizes", "user_features", "log",
)  # fmt: skip
"""Facts that identify a run; the other facts are the path of the log and the catalogue."""
LARGEST = 1 << 20  # users or items of a built-in catalogue; this many take minutes and a few GB


FilePath: TypeAlias = Annotated[str, Rule("the name of a file", is_path)]
CatalogueSize: TypeAlias = Annotated[int, number_range(0, LARGEST, f"at most {LARGEST:,}")]
Seed: TypeAlias = Annotated[int, number_range(0, LONGEST_INTEGER, "an integer from 0 to 2^63 - 1")]
Features: TypeAlias = dict[str, list[str]]  # feature -> its values


class ReadingOptions(TypedDict, total=False):
    """Reading options of a log, or of the built-in catalogue: seed, users, items."""

    format: str
    columns: dict[str, object] | None
    item_file: FilePath | None
    user_file: FilePath | None
    max_bad_lines: int | str
    keep_duplicates: bool
    keep_unused_items: bool
    min_user_interactions: int
    min_item_interactions: int
    min_item_users: int
    seed: Count
    users: CatalogueSize
    items: CatalogueSize


# `place` is the name in the file
SourceFacts = TypedDict("SourceFacts", {"place": FilePath, "options": ReadingOptions})  # noqa: UP013
"""The path of the log of a run, or the name of a log without a file, and the options."""


class SizeFacts(TypedDict):
    """The sizes of the data of a run."""

    items: Count
    item_rows: Count
    profile_rows: Count
    profile_features: Count


@dataclass(frozen=True)
class EarlierTraining:
    """The training data of a run: an entry of the list `trained_on` in config.json."""

    run: str
    model: str  # digest of the parameters
    split: str
    seed: Seed  # of the split
    log: str  # fingerprint
    interactions: Count  # of the log
    last_time: Finite | None  # of the last interaction that was trained on; None: unknown


class StartFacts(TypedDict):
    """The earlier run whose parameters were the start."""

    run: str
    model: str
    step: Count
    items: Count
    new_items: Count
    trained_items: Count
    left_out_items: Count
    trained_on: list[EarlierTraining]


class TermFacts(TypedDict):
    """The terms of the score that an earlier run gave."""

    own_counts: Annotated[float, number_range(0, sys.float_info.max, "a number of at least 0")]
    decay: Annotated[float, number_range(sys.float_info.min, 1, "a number above 0, at most 1")]
    popularity: Annotated[float, number_range(0, 1, "a number from 0 to 1")]


class RunFacts(TypedDict):
    """The facts of a run that are used; config.json has more."""

    source: SourceFacts
    protocol: str
    exclude_seen: bool
    sizes: SizeFacts
    user_features: Features
    log: str
    items: str  # sha256 of items.tsv
    item_features: NotRequired[Features]
    start_from: NotRequired[StartFacts | None]
    last_time: NotRequired[Finite]
    interactions: NotRequired[Count]
    log_bytes: NotRequired[Count]
    score_terms: NotRequired[TermFacts]
    integer_ids: NotRequired[list[str]]  # item, user: ids that were integers


class RecallFacts(TypedDict):
    """The recall run of a DIN run."""

    run: FilePath
    model: str


class DinFacts(TypedDict):
    """The facts of a DIN run that are used."""

    recall: RecallFacts
    log: str
    items: str


class ValidationValues(TypedDict):
    """A validation in the header of a state."""

    step: Count
    loss: float
    value: float | None  # None without validation
    is_best: bool


class ArraysHeader(TypedDict, total=False):
    """The values in the header of a file of arrays."""

    step: Count
    best_step: Count
    waited: Count
    best_value: float
    losses: tuple[float, Count]
    validations: list[ValidationValues]


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError unless these are the facts of a run."""
    check_json(facts, RunFacts, partial=True)
    sizes, features = facts["sizes"], facts["user_features"]
    rows = sum(1 + len(values) for values in features.values())
    if (rows, len(features)) != (sizes["profile_rows"], sizes["profile_features"]):
        expected, got = "user features as in sizes", f"{rows} rows of {len(features)} features"
        raise InvalidValue("user_features", expected, features, got)
    item_features = facts.get("item_features", {})
    rows = sum(len(values) for values in item_features.values())
    if item_features and rows != sizes["item_rows"] - sizes["items"]:
        expected, got = "item features as in sizes", f"{rows} values"
        raise InvalidValue("item_features", expected, item_features, got)


def check_header(header: Mapping[str, Any], family: str | None) -> None:
    """Raise ValueError unless the header of a file of arrays has values of the right types.

    family: required family, None for any. A file without a family name is of MIND.
    """
    written = header.get("model", "mind")
    if family is not None and written != family:
        raise InvalidValue("model", repr(family), written)
    check_json(header, ArraysHeader, partial=True)
