"""The number of inputs that were tried is a result: it is printed after a campaign."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.outcome import COUNTS


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--fuzz") or config.getoption("--long"):
        words = [f"{count:,} {name}" for name, count in sorted(COUNTS.items())]
        terminalreporter.write_line(f"inputs: {sum(COUNTS.values()):,}, {', '.join(words)}")
