"""Shelves and titles of the synthetic catalogue, from `synthetic_titles.tsv`.

All titles are invented. A shelf is a latent interest and has four topics. A topic is a pair of
openings: titles of one topic begin with the same words, so a reader sees the topics of a list.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

TOPICS = 4  # of each shelf


class Shelf(NamedTuple):
    """A shelf. A title is `pattern` with an opening and an ending."""

    name: str
    pattern: str
    openings: str  # 8, separated by commas, two for each topic
    endings: str  # 8, separated by commas

    def title(self, topic: int, number: int) -> str:
        """Return title `number` of a topic. From the 17th on, titles end in a volume number."""
        openings = self.openings.split(", ")[2 * topic : 2 * topic + 2]
        endings = self.endings.split(", ")
        volume, index = divmod(number, 2 * len(endings))
        # consecutive titles differ in both words
        ending = endings[index % len(endings)]
        title = self.pattern.format(openings[(index + index // len(endings)) % 2], ending)
        return title if volume == 0 else f"{title}, volume {volume + 1}"


def read_shelves() -> tuple[Shelf, ...]:
    """Return the shelves of the file, in their order."""
    text = files("mindref.data").joinpath("synthetic_titles.tsv").read_text(encoding="utf-8")
    return tuple(Shelf(*line.split("\t")) for line in text.splitlines()[1:])


SHELVES = read_shelves()
