"""The number of inputs that were tried is a result: it is printed after a campaign."""

from tests.fuzz.outcome import COUNTS


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--fuzz") or config.getoption("--long"):
        words = [f"{count:,} {name}" for name, count in sorted(COUNTS.items())]
        terminalreporter.write_line(f"inputs: {sum(COUNTS.values()):,}, {', '.join(words)}")
