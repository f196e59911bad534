"""Where the paper can be read in more than one way: the readings, ours, and what each comes to.

Spec: the part "Source and where we differ" of every page. The table is ambiguities.toml; every
reading is computed on the same user.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.variants import loader
from mindref.data.streams import stream
from mindref.errors import ConfigError, say
from mindref.models.logits import drawn, keyed_table, of_history
from mindref.shapes import Array
from mindref.study import outcome as outcomes
from mindref.study import plain
from mindref.study.close import closest
from mindref.study.outcome import Outcome
from mindref.study.variants import scenes
from mindref.study.variants.entries import Scene
from mindref.study.variants.measures import MEASURES

if TYPE_CHECKING:
    from mindref.study.run import Given


class Reading(NamedTuple):
    """One way to read the paper, and what it comes to."""

    name: str
    text: str
    ours: bool
    rule: str | None
    seen: tuple[str, ...]
    outcome: Outcome
    results: tuple[tuple[str, float | tuple[float, ...]], ...]


class Card(NamedTuple):
    """One doubtful point."""

    name: str
    question: str
    paper: str
    why: str
    shown: str
    sentence: str  # about the first result, which follows it
    scene: str
    readings: tuple[Reading, ...]

    @property
    def says(self) -> str:
        """Return the first result of every reading in one sentence."""
        first, *others = [
            f"{told(reading.results[0][1])} when read \u201c{reading.name}\u201d"
            for reading in self.readings
        ]
        return (
            f"For this user, {self.sentence} {', '.join([first, *others[:-1]])} and {others[-1]}."
        )

    def to_json(self, titles: Sequence[str] | None = None, whole: bool = False) -> dict[str, Any]:
        """Return plain values; the arrays of each reading only if `whole`."""
        readings = [
            {
                **reading._asdict(),
                "seen": list(reading.seen),
                "outcome": reading.outcome.to_json(titles) if whole else None,
                "results": [{"name": name, "value": value(x)} for name, x in reading.results],
            }
            for reading in self.readings
        ]
        return {**self._asdict(), "readings": readings, "says": self.says}


def table() -> list[dict[str, Any]]:
    """Return the cards as they are written."""
    text = resources.files("mindref.study").joinpath("ambiguities.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["card"])


def names() -> tuple[str, ...]:
    """Return the names of all cards."""
    return tuple(row["name"] for row in table())


def cards(
    given: Given, only: Iterable[str] | None = None, titles: Sequence[str] | None = None
) -> list[Card]:
    """Return every doubtful point, or those that are named, computed on one user.

    titles: a name for each item, where a card speaks of one. Raises ConfigError for a name that no
    card has.
    """
    rows = {row["name"]: row for row in table()}
    wanted = list(rows if only is None else only)
    for name in wanted:
        if name not in rows:
            raise ConfigError(say("ambiguity", "one of the cards", name, closest(name, rows)))
    return [card(given, rows[name], titles) for name in wanted]


def card(given: Given, row: dict[str, Any], titles: Sequence[str] | None = None) -> Card:
    """Return one card, every reading computed."""
    wanted = row.get("scene", {})
    scene = Scene(
        wanted.get("config", {}), wanted.get("pads", 0), False, wanted.get("against", False)
    )
    here = scenes.set_up(given, scene)
    found = [computed(here, reading) for reading in row["reading"]]
    base = next((i for i, r in enumerate(row["reading"]) if r.get("base")), None)
    ours = next(i for i, r in enumerate(row["reading"]) if r.get("ours"))
    against = found[ours if base is None else base]
    readings = tuple(
        Reading(
            reading["name"],
            reading["text"],
            reading.get("ours", False),
            reading.get("rule"),
            tuple(reading["seen"]),
            done,
            tuple(results(here, row, reading, against, done)),
        )
        for reading, done in zip(row["reading"], found, strict=True)
    )
    plainly = {key: row[key] for key in ("name", "question", "paper", "why", "shown", "sentence")}
    return Card(**plainly, scene=scenes.said(given, scene, titles), readings=readings)


def computed(given: Given, reading: dict[str, Any]) -> Outcome:
    """Return what a reading comes to."""
    given = given._replace(config=dataclasses.replace(given.config, **reading.get("config", {})))
    if "logits" in reading:
        given = with_logits(given, reading["logits"], 0)
    mistakes = {variant.name: variant for variant in loader.catalogue()}
    built = loader.build(mistakes[reading["mistake"]]) if "mistake" in reading else None
    return outcomes.outcome(given, built)


def results(
    given: Given, row: dict[str, Any], reading: dict[str, Any], ours: Outcome, theirs: Outcome
) -> list[tuple[str, float | tuple[float, ...]]]:
    """Return the numbers that a reading is judged by."""
    found: list[tuple[str, float | tuple[float, ...]]] = [
        (MEASURES[name].name, MEASURES[name].of(ours, theirs)[1]) for name in row["measured"]
    ]
    if "logits" in reading:
        found += asked_again(given, reading["logits"], theirs)
    return found


def asked_again(
    given: Given, logits: str, first: Outcome
) -> list[tuple[str, float | tuple[float, ...]]]:
    """Return how far a second call, with the history reversed, is from the first."""
    second = outcomes.outcome(with_logits(turned(given), logits, 1))
    moved = MEASURES["moved"].of(first, second)[1]
    units, others = (directions(o) for o in (first, second))
    best = tuple(float(x) for x in (units @ others.T).max(axis=1))
    return [
        ("interests moved from one call to the next", moved),
        ("cosine of each interest with the nearest of the next call", best),
    ]


def directions(outcome: Outcome) -> Array:
    """Return the active interests, of length one."""
    own = outcome.u[outcome.active]
    return own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-300)


def turned(given: Given) -> Given:
    """Return the user with the places of the history in the reverse order."""
    histories = given.batch.histories
    back = histories._replace(
        items=histories.items[:, ::-1],
        mask=histories.mask[:, ::-1],
        init_logits=histories.init_logits[:, ::-1],
    )
    return given._replace(batch=given.batch._replace(histories=back))


def with_logits(given: Given, kind: str, call: int) -> Given:
    """Return the user with initial logits: "keyed" by item, "drawn" for a call, or one "table"."""
    config, histories = given.config, given.batch.histories
    shape = (*histories.mask.shape, config.interests)
    if kind == "keyed":
        count = len(given.catalogue.rows)
        table = keyed_table(config.seed, count, config.interests, config.sigma, config.dtype)
        logits = of_history(table, histories.items)
    else:  # a table is drawn once, before the first call
        rng = stream(config.seed, "serving", call if kind == "drawn" else 0)
        logits = drawn(rng, shape, config.sigma, config.dtype)
    histories = histories._replace(init_logits=logits)
    return given._replace(batch=given.batch._replace(histories=histories))


def told(x: float | tuple[float, ...]) -> str:
    """Return a result as text."""
    return f"{x:.3g}" if isinstance(x, float) else ", ".join(f"{y:.3g}" for y in x)


def value(x: float | tuple[float, ...]) -> Any:
    """Return a result as JSON has it."""
    return plain.number(x) if isinstance(x, float) else [plain.number(y) for y in x]
