"""Points of the paper with several readings, and the result of each reading for one user.

Spec: the section "Source and where we differ" of each page. The table is ambiguities.toml.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.mutants import loader
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, say
from mindref.models.logits import draw_logits, history_logits, keyed_table
from mindref.study import json_arrays
from mindref.study import user_summary as outcomes
from mindref.study.number_texts import format_tiny
from mindref.study.reading_inputs import COUNTS, HISTORIES, fix_interest_count
from mindref.study.suggest import suggest_names
from mindref.study.user_summary import UserSummary
from mindref.study.variants import setups
from mindref.study.variants.entries import read_setup
from mindref.study.variants.measures import MEASURES

if TYPE_CHECKING:
    from mindref.models.mind import Histories
    from mindref.study.tracing import TrainingPair


class Reading(NamedTuple):
    """One reading of the paper, and its results."""

    name: str
    text: str
    ours: bool
    rule: str | None
    seen: tuple[str, ...]
    outcome: UserSummary
    results: tuple[tuple[str, float | tuple[float, ...]], ...]


class Card(NamedTuple):
    """One ambiguous point of the paper."""

    name: str
    question: str
    paper: str
    why: str
    results_title: str
    sentence: str  # introduces the first result of each reading
    setup: str
    readings: tuple[Reading, ...]

    @property
    def summary(self) -> str:
        """Return the first result of every reading in one sentence."""
        first, *other_results = [
            f"{format_result(reading.results[0][1])} if read as \u201c{reading.name}\u201d"
            for reading in self.readings
        ]
        listed = ", ".join([first, *other_results[:-1]])
        return f"For this user, {self.sentence} {listed} and {other_results[-1]}."

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, without the arrays of the readings."""
        readings = [
            {
                **{key: x for key, x in reading._asdict().items() if key != "outcome"},
                "seen": list(reading.seen),
                "results": [
                    {"name": name, "value": result_to_json(x)} for name, x in reading.results
                ],
            }
            for reading in self.readings
        ]
        return {**self._asdict(), "readings": readings, "summary": self.summary}


def read_cards() -> list[dict[str, Any]]:
    """Return the rows of ambiguities.toml, each with its name and a list of its readings."""
    text = resources.files("mindref.study").joinpath("ambiguities.toml").read_text(encoding="utf-8")
    cards = rows_with_names(tomllib.loads(text)["card"])
    return [{**row, "reading": rows_with_names(row["reading"])} for row in cards]


def rows_with_names(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table of tables, each with its key as its name."""
    return [{"name": name, **row} for name, row in table.items()]


def card_names() -> tuple[str, ...]:
    """Return the names of all cards."""
    return tuple(row["name"] for row in read_cards())


def compute_cards(
    pair: TrainingPair, only: Iterable[str] | None = None, titles: Sequence[str] | None = None
) -> list[Card]:
    """Return every card, or `only` some, computed for one user.

    titles: one for each item, default numbers. Raises ConfigError for an unknown name.
    """
    rows = {row["name"]: row for row in read_cards()}
    selected = list(rows if only is None else only)
    for name in selected:
        if name not in rows:
            raise ConfigError(say("ambiguity", "one of the cards", name, suggest_names(name, rows)))
    return [compute_card(pair, rows[name], titles) for name in selected]


def compute_card(
    pair: TrainingPair, row: dict[str, Any], titles: Sequence[str] | None = None
) -> Card:
    """Return a card with the results of every reading."""
    setup = read_setup(row.get("setup", {}))
    prepared = setups.apply_setup(pair, setup)
    unwindowed = pair.batch.histories
    summaries = [summarise_reading(prepared, reading, unwindowed) for reading in row["reading"]]
    base = next((i for i, r in enumerate(row["reading"]) if r.get("base")), None)
    ours = next(i for i, r in enumerate(row["reading"]) if r.get("ours"))
    baseline_summary = summaries[ours if base is None else base]
    readings = tuple(
        Reading(
            reading["name"],
            reading["text"],
            reading.get("ours", False),
            reading.get("rule"),
            tuple(reading["seen"]),
            summary,
            tuple(reading_results(prepared, row, reading, baseline_summary, summary)),
        )
        for reading, summary in zip(row["reading"], summaries, strict=True)
    )
    fields = {
        key: row[key] for key in ("name", "question", "paper", "why", "results_title", "sentence")
    }
    return Card(**fields, setup=setups.describe_setup(pair, setup, titles), readings=readings)


def summarise_reading(
    pair: TrainingPair, reading: dict[str, Any], unwindowed: Histories
) -> UserSummary:
    """Return the summary of the user under a reading.

    unwindowed: the history before a setup shortened it.
    """
    pair = pair._replace(config=dataclasses.replace(pair.config, **reading.get("config", {})))
    if "history" in reading:
        pair = HISTORIES[reading["history"]](pair)
    if "counted" in reading:
        interactions = COUNTS[reading["counted"]](pair.batch.histories, unwindowed)
        pair = fix_interest_count(pair, interactions)
    if "logits" in reading:
        pair = replace_logits(pair, reading["logits"], 0)
    mutants = {variant.name: variant for variant in loader.suite_mutants()}
    built = loader.build_mutant(mutants[reading["mutant"]]) if "mutant" in reading else None
    return outcomes.summarise_user(pair, built)


def reading_results(
    pair: TrainingPair,
    row: dict[str, Any],
    reading: dict[str, Any],
    reference: UserSummary,
    variant: UserSummary,
) -> list[tuple[str, float | tuple[float, ...]]]:
    """Return the measured numbers of a reading."""
    summaries: list[tuple[str, float | tuple[float, ...]]] = [
        (MEASURES[name].name, MEASURES[name].of(reference, variant)[1]) for name in row["measures"]
    ]
    if "logits" in reading:
        summaries += second_call_results(pair, reading["logits"], variant)
    return summaries


def second_call_results(
    pair: TrainingPair, logits: str, first: UserSummary
) -> list[tuple[str, float | tuple[float, ...]]]:
    """Return the difference between two calls; the second call has the history reversed."""
    second = outcomes.summarise_user(replace_logits(reverse_history(pair), logits, 1))
    moved = MEASURES["interest_shift"].of(first, second)[1]
    best = tuple(float(x) for x in (first.units @ second.units.T).max(axis=1))
    return [
        ("relative change of the interests between two calls", moved),
        ("cosine of each interest with the most similar interest of the second call", best),
    ]


def reverse_history(pair: TrainingPair) -> TrainingPair:
    """Return the training pair with the history in reverse order."""
    return setups.select_behaviours(pair, np.arange(pair.batch.histories.mask.shape[1])[::-1])


def replace_logits(pair: TrainingPair, kind: str, call: int) -> TrainingPair:
    """Return the pair with logits "keyed" by item, "drawn" per call, or from one "table"."""
    config, histories = pair.config, pair.batch.histories
    shape = (*histories.mask.shape, config.interests)
    if kind == "keyed":
        count = len(pair.catalogue.rows)
        table = keyed_table(config.seed, count, config.interests, config.sigma, config.dtype)
        logits = history_logits(table, histories.items)
    else:  # a table is drawn once, for all calls
        rng = make_rng(config.seed, "serving", call if kind == "drawn" else 0)
        logits = draw_logits(rng, shape, config.sigma, config.dtype)
    histories = histories._replace(init_logits=logits)
    return pair._replace(batch=pair.batch._replace(histories=histories))


def format_result(x: float | tuple[float, ...]) -> str:
    """Return a result as text."""
    return format_tiny(x) if isinstance(x, float) else ", ".join(map(format_tiny, x))


def result_to_json(x: float | tuple[float, ...]) -> Any:
    """Return a result as JSON values."""
    each = [json_arrays.number_to_json(y) for y in (x if isinstance(x, tuple) else (x,))]
    return each if isinstance(x, tuple) else each[0]
