"""What a function calls to have its numbers written down, if anybody wants them.

The operators of a model, the model and the optimiser take `record`, None in all ordinary use: then
it costs one comparison. A recorder gets the arrays themselves and must neither change nor keep
them: what it wants to keep it copies.
"""

from __future__ import annotations

from typing import Any, Protocol


class Record(Protocol):
    """Takes note of arrays under the names that they have in the code."""

    def __call__(self, event: str, turn: int = 0, /, **arrays: Any) -> None:
        """Take note of an event; `turn` counts rounds from 1, 0 is no round."""

    def part(self, name: str, turn: int = 0) -> Record:
        """Return the recorder of a part: one use of an operator that is used several times."""


def recording(record: Record | None, name: str, turn: int = 0) -> dict[str, Record]:
    """Return the keyword that hands the recorder on; without one nothing is handed on.

    Operators of somebody else's backend need not know of recorders.
    """
    return {} if record is None else {"record": record.part(name, turn)}
