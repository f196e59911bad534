"""Counts of the lines of a file, and the limit of damaged lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from mindref.data.log import Hint
from mindref.data.quoting import escape_text
from mindref.errors import ConfigError, DataError, say, value_text

AUTO = "auto"
STRICT_LINES = 100  # first lines, none of which may be damaged: damage means a wrong format
MIN_ALLOWED = 10  # damaged lines that a longer file may have
LINES_PER_DAMAGED = 1000  # in a long file, one damaged line in this many is allowed
MAX_EXAMPLES = 10


@dataclass
class Tally:
    """Counts of one file. `limit` is "auto" or the number of damaged lines allowed."""

    file: str
    limit: int | str = AUTO
    lines: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    hints: list[Hint] = field(default_factory=list)

    def add_damaged(self, number: int, reason: str) -> None:
        """Count a damaged line. Errors: DataError if there are too many."""
        self.bad += 1
        if len(self.examples) < MAX_EXAMPLES:
            # data-R10
            self.examples.append(f"{self.file}, line {number}: {escape_text(reason, 400)}")
        if self.bad > self.allowed_damage(number):
            self._raise_error(number)

    def allowed_damage(self, number: int) -> int:
        """Return the number of damaged lines that are allowed among the first `number` lines."""
        if isinstance(self.limit, int):
            return self.limit  # data-R14
        if number <= STRICT_LINES:
            return 0  # data-R12
        return max(MIN_ALLOWED, number // LINES_PER_DAMAGED)  # data-R13

    def _raise_error(self, number: int) -> NoReturn:
        if isinstance(self.limit, int):
            rule = f"at most {self.limit} damaged lines"
        elif number <= STRICT_LINES:
            rule = f"no damaged line among the first {STRICT_LINES} (the format is probably wrong)"
        else:
            rule = f"at most {MIN_ALLOWED} damaged lines or one in {LINES_PER_DAMAGED}"
        todo = (
            "set --format, repair the file, or allow N damaged lines with --max-bad-lines N. "
            "The first damaged lines:\n  " + "\n  ".join(self.examples)
        )
        raise DataError(say(self.file, rule, f"{self.bad} by line {number}", todo))


def check_damage_limit(limit: int | str) -> int | str:
    """Return a valid limit: "auto" or a number of lines. Errors: ConfigError."""
    if limit == AUTO:
        return AUTO
    try:
        number = int(limit)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        got = value_text(limit, quoted=True)
        raise ConfigError(say("max_bad_lines", '"auto" or a number from 0', got))
    return number
