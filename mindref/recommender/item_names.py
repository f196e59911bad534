"""Find items of a catalogue by id or by title, and propose the closest ones.

Spec: specs/recall.md, recall-R50.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from mindref.errors import DataError, printable, say
from mindref.run.items import Items

MAX_COMPARED = 20_000  # most frequent items that are compared letter by letter
MIN_PART = 3  # characters of a text that is sought within titles
PROPOSED = 3  # items
SHOWN = 5  # ids in a message


class ItemNames:
    """Ids and titles of items. `dense` maps the ids that may be named to dense ids."""

    def __init__(self, items: Items, dense: Mapping[str, int]) -> None:
        self.items, self.dense = items, dense

    @cached_property
    def ids(self) -> frozenset[str]:
        """All ids of the catalogue."""
        return frozenset(self.items.ids)

    @cached_property
    def by_title(self) -> dict[str, list[int]]:
        """Folded title -> dense ids."""
        index: dict[str, list[int]] = {}
        for item in self.dense.values():
            if title := fold_title(self.items.titles[item]):
                index.setdefault(title, []).append(item)
        return index

    def find(self, name: str, subject: str) -> int | None:
        """Return the dense id of an item named by its id or its title; None if there is none.

        An id has priority over a title. Raises DataError for a title of several items.
        """
        if (item := self.dense.get(name)) is not None or name in self.ids:  # recall-R50
            return item
        items = self.by_title.get(fold_title(name), [])
        if len(items) > 1:
            listed = quote_ids([self.items.ids[i] for i in items])
            got = f"{name!r}, the title of {len(items)} items"
            raise DataError(say(subject, "the title of one item, or an id", got, f"ids: {listed}"))
        return items[0] if items else None

    def check_known(self, name: str, subject: str) -> None:
        """Raise DataError, with the closest titles, unless a name is an id or a title."""
        if name not in self.ids and fold_title(name) not in self.by_title:
            expected = "an id or a title of the catalogue"
            todo = self.propose([name]) or "the items.tsv of the run lists all"
            raise DataError(say(subject, expected, repr(name), todo))

    def closest(self, name: str) -> list[str]:
        """Return the closest items as `id 'title'`.

        Titles that contain the name are first, then similar titles. Without titles, similar ids
        are returned.
        """
        folded, texts = fold_title(name), self.texts
        contain = [x for x in texts if folded in x] if len(folded) >= MIN_PART else []
        similar = difflib.get_close_matches(folded, texts[:MAX_COMPARED], PROPOSED)
        nearest = list(dict.fromkeys([*contain[:PROPOSED], *similar]))[:PROPOSED]
        return [self.label(text) for text in nearest]

    @cached_property
    def texts(self) -> list[str]:
        """Folded titles, or ids if there are no titles, from the most frequent item on."""
        texts = self.by_title or {name: [item] for name, item in self.dense.items()}
        counts = [-max(self.items.counts[i] for i in items) for items in texts.values()]
        names = list(texts)
        return [names[i] for i in np.argsort(counts, kind="stable")]

    def label(self, text: str) -> str:
        """Return `id 'title'` of a text of `texts`."""
        if not self.by_title:
            return printable(text)
        item = self.by_title[text][0]
        return f"{printable(self.items.ids[item])} {self.items.titles[item]!r}"

    def propose(self, unknown: list[str]) -> str:
        """Return `closest: ...` for the first unknown names, or an empty text."""
        proposals = dict.fromkeys(x for name in unknown[:SHOWN] for x in self.closest(name))
        return f"closest: {', '.join(proposals)}" if proposals else ""


def fold_title(title: str) -> str:
    """Return a title without case and repeated spaces, to compare titles."""
    return " ".join(title.split()).casefold()


def quote_ids(names: list[str]) -> str:
    """Return the first names, quoted, and dots if there are more."""
    return ", ".join(map(repr, names[:SHOWN])) + (" ..." if len(names) > SHOWN else "")
