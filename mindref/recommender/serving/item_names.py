"""Find items of a catalogue by id or by title, and propose the closest ones.

Spec: specs/recall.md, recall-R50, R54, R55.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property

from mindref.data.quoting import MAX_QUOTED, join_names, quote_text
from mindref.errors import DataError, printable, say
from mindref.run.items import Items

MAX_COMPARED = 20_000  # most frequent items that are compared letter by letter
MIN_PART = 3  # characters of a text that is sought within titles
PROPOSED = 3  # items
MAX_FIELDS = 5  # fields of a CSV row that are joined to a title
UNTRAINED = "name an item that occurs in a training example or has trained features"


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
            listed = join_names((self.items.ids[i] for i in items), quoted=True)
            got = f"{name!r}, the title of {len(items)} items"
            raise DataError(say(subject, "the title of one item, or an id", got, f"ids: {listed}"))
        return items[0] if items else None

    def unknown_error(
        self, names: Sequence[str], subject: str, *, titles: bool, hint: str = ""
    ) -> DataError:
        """Return the error for items that are not in the catalogue or untrained.

        titles: whether a title is accepted. hint: what to do; by default the result of `hint`.
        """
        expected = f"the id {'or the title ' if titles else ''}of a trained item"
        is_untrained = any(name in self.ids for name in names)
        default = UNTRAINED if is_untrained else "the items.tsv of the run lists all"
        got = join_names(dict.fromkeys(names), quoted=True)
        todo = hint or self.hint(names, titles=titles) or default
        return DataError(say(subject, expected, got, todo))

    def hint(self, names: Sequence[str], *, titles: bool) -> str:
        """Return proposals for unknown names, or an empty text.

        titles: the closest items of the first names. Else: the ids of names that are titles.
        """
        missing = [name for name in dict.fromkeys(names) if name not in self.ids][:MAX_QUOTED]
        if titles:
            proposals = dict.fromkeys(x for name in missing for x in self.closest(name))
            return f"closest: {', '.join(proposals)}" if proposals else ""
        pairs = []
        for name in missing:
            if items := self.by_title.get(fold_title(name)):
                ids = join_names((self.items.ids[item] for item in items), quoted=True)
                pairs.append(f"{quote_text(name)}: {ids}")
        text = "a title is not accepted here; the ids of these titles"
        return f"{text}: {'; '.join(pairs)}" if pairs else ""  # recall-R54

    def comma_hint(self, row: Sequence[str]) -> str:
        """Return how to write the titles that fields of a CSV row are when joined by commas.

        An empty text is returned if there is no such title. row: the fields, in their order.
        """
        titles = dict[str, None]()
        for start in range(len(row)):
            for stop in range(start + 2, min(start + MAX_FIELDS, len(row)) + 1):
                title = ",".join(row[start:stop]).strip(' "')
                if fold_title(title) in self.by_title:  # recall-R55
                    quoted = title.replace('"', '""')
                    titles[f'"{quoted}"'] = None
        if not titles:
            return ""
        csv_row = shlex.quote(",".join(list(titles)[:MAX_QUOTED]))
        return f"write a title with commas in double quotes: {csv_row}"

    def closest(self, name: str) -> list[str]:
        """Return `label` of the texts that contain the name, then of similar texts."""
        folded, texts = fold_title(name), self.texts
        containing = [x for x in texts if folded in x] if len(folded) >= MIN_PART else []
        similar = difflib.get_close_matches(folded, texts[:MAX_COMPARED], PROPOSED)
        nearest = list(dict.fromkeys([*containing, *similar]))[:PROPOSED]
        return [self.label(text) for text in nearest]

    @cached_property
    def texts(self) -> list[str]:
        """Folded titles, or ids if there are no titles, from the most frequent item on.

        Ids without a letter are left out: that numbers share digits means nothing.
        """
        ids = {x: [item] for x, item in self.dense.items() if any(map(str.isalpha, x))}
        texts = self.by_title or ids
        counts = {text: max(self.items.counts[i] for i in items) for text, items in texts.items()}
        return sorted(counts, key=lambda text: -counts[text])

    def label(self, text: str) -> str:
        """Return `id 'title'` of a text of `texts`."""
        if not self.by_title:
            return printable(text)
        item = self.by_title[text][0]
        return f"{printable(self.items.ids[item])} {self.items.titles[item]!r}"


def fold_title(title: str) -> str:
    """Return a title without case and repeated spaces, to compare titles."""
    return " ".join(title.split()).casefold()
