"""What is met while reading one file: its lines, its damaged ones, and when there are too many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from mindref.data.shown import clean
from mindref.errors import ConfigError, DataError, say, written

AUTO = "auto"
FIRST = 100  # lines that must all be whole: damage here means a wrong format
FEW = 10  # damaged lines that any longer file may have
SHARE = 1000  # beyond these, one damaged line in so many
EXAMPLES = 10


@dataclass
class Tally:
    """Counts of one file; `limit` is "auto" or the number of damaged lines to put up with."""

    file: str
    limit: int | str = AUTO
    lines: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def damaged(self, number: int, reason: str) -> None:
        """Count the damaged line of this number. Errors: DataError when it is one too many."""
        self.bad += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{self.file}, line {number}: {clean(reason, 400)}")  # data-R10
        if self.bad > self.allowed(number):
            self._stop(number)

    def allowed(self, number: int) -> int:
        """Return how many damaged lines are put up with among the first `number`."""
        if isinstance(self.limit, int):
            return self.limit  # data-R14
        if number <= FIRST:
            return 0  # data-R12
        return max(FEW, number // SHARE)  # data-R13

    def _stop(self, number: int) -> NoReturn:
        if isinstance(self.limit, int):
            rule = f"at most {self.limit} damaged lines"
        elif number <= FIRST:
            rule = f"no damaged line among the first {FIRST} (the format is probably another)"
        else:
            rule = f"at most {FEW} damaged lines or one in {SHARE}"
        todo = (
            "name the right format with --format, mend the file, or put up with N damaged lines "
            "by --max-bad-lines N. The first ones:\n  " + "\n  ".join(self.examples)
        )
        raise DataError(say(self.file, rule, f"{self.bad} by line {number}", todo))


def check_limit(limit: int | str) -> int | str:
    """Return a limit that is "auto" or a number of lines. Errors: ConfigError."""
    if limit == AUTO:
        return AUTO
    try:
        number = int(limit)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        got = written(limit, quoted=True)
        raise ConfigError(say("max_bad_lines", '"auto" or a number from 0', got))
    return number
