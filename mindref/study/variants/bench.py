"""Reference and variant on the same user, from the same logits, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.variants import loader
from mindref.study import outcome as outcomes
from mindref.study import plain
from mindref.study.outcome import Outcome
from mindref.study.variants import scenes
from mindref.study.variants.alarms import Alarm, alarms, probed
from mindref.study.variants.entries import Entry, find, names
from mindref.study.variants.measures import MEASURES

if TYPE_CHECKING:
    from mindref.study.run import Given


class Measured(NamedTuple):
    """One telling number of both sides."""

    name: str
    text: str
    reference: float
    variant: float


class Case(NamedTuple):
    """One variant on one user."""

    entry: Entry
    scene: str  # in words; empty where nothing was set up
    reference: Outcome
    variant: Outcome
    measured: tuple[Measured, ...]
    largest: dict[str, float]  # largest difference of w, u, h, loss, gradient
    shared: int  # items in both lists
    alarms: tuple[Alarm, ...]  # invariants of the variant's own trace that fail
    probes: tuple[Alarm, ...]  # what takes more than one pass, and fails

    @property
    def differs(self) -> tuple[str, ...]:
        """Return what is not the same, by name; empty where this user does not show it."""
        lists = ("top",) if self.shared < len(self.reference.top) else ()
        return tuple(name for name, gap in self.largest.items() if gap > 0) + lists

    @property
    def alarms_text(self) -> str:
        """Return why no invariant fails, where none does."""
        return "" if self.alarms or not self.differs else self.entry.silent

    def to_json(self, titles: Sequence[str] | None = None) -> dict[str, Any]:
        """Return plain values."""
        entry, mistake = self.entry, self.entry.mistake
        return {
            "name": entry.name,
            "title": entry.title,
            "what": mistake.what,
            "does": mistake.does,
            "rule": mistake.breaks,
            "step": entry.step,
            "seen": [seen._asdict() for seen in entry.seen],
            "scene": {"text": self.scene, "changes": changes(entry)},
            "reference": self.reference.to_json(titles) if entry.scene.moves else None,
            "variant": self.variant.to_json(titles, entry.gradient),
            "measured": [in_words(m) for m in self.measured],
            "differs": list(self.differs),
            "alarms": [alarm.to_json() for alarm in self.alarms],
            "alarms_text": self.alarms_text,
            "probes": [alarm.to_json() for alarm in self.probes],
            "largest": {name: plain.number(gap) for name, gap in self.largest.items()},
        }


def bench(
    given: Given, only: Iterable[str] | None = None, titles: Sequence[str] | None = None
) -> list[Case]:
    """Return every variant, or those that are named, on one user.

    titles: a name for each item, where a scene speaks of one. Raises ConfigError for a name that no
    variant has.
    """
    known: dict[str, Outcome] = {}  # reference outcomes by scene: most scenes are the plain one
    wanted = names() if only is None else only
    return [compared(given, find(name), known, titles) for name in wanted]


def compared(
    given: Given, entry: Entry, known: dict[str, Outcome], titles: Sequence[str] | None = None
) -> Case:
    """Return both sides of one variant, in its scene."""
    scene = entry.scene
    here = scenes.set_up(given, scene)
    key = repr(scene._replace(before=False))  # the reference does not know who came before
    if key not in known:
        known[key] = outcomes.outcome(here)
    ours = known[key]
    modules = loader.build(entry.mistake)
    scenes.before(here, scene, modules)
    theirs = outcomes.outcome(here, modules)
    measures = [MEASURES[name] for name in entry.measured]
    numbers = tuple(Measured(m.name, m.text, *m.of(ours, theirs)) for m in measures)
    shared = len({f.item for f in ours.top} & {f.item for f in theirs.top})
    return Case(
        entry,
        scenes.said(given, scene, titles),
        ours,
        theirs,
        numbers,
        gaps(ours, theirs, entry.gradient),
        shared,
        alarms(here, entry),
        probed(here, entry.mistake, entry.gradient),
    )


def gaps(ours: Outcome, theirs: Outcome, gradient: bool) -> dict[str, float]:
    """Return the largest difference of each thing that is shown, the gradient if it is."""
    pairs = {
        "w": (ours.w, theirs.w),
        "u": (ours.u, theirs.u),
        "h": (ours.h, theirs.h),
        "loss": (np.array(ours.loss), np.array(theirs.loss)),
    }
    if gradient:
        pairs["gradient"] = (ours.d_bilinear, theirs.d_bilinear)
    return {name: float(np.abs(a - b).max(initial=0)) for name, (a, b) in pairs.items()}


def changes(entry: Entry) -> dict[str, Any]:
    """Return what the scene sets, as plain values."""
    settings = entry.scene.config.items()
    return {k: plain.number(v) if isinstance(v, float) else v for k, v in settings}


def in_words(measured: Measured) -> dict[str, Any]:
    """Return a telling number as plain values."""
    numbers = {k: plain.number(v) for k, v in measured._asdict().items() if isinstance(v, float)}
    return {"name": measured.name, "text": measured.text, **numbers}
