"""All public bugs as backends, for `--backend tests.public_code.bugs:LogitsReplaced`."""

from __future__ import annotations

from tests.public_code import attention_bugs, loss_bugs, routing_bugs
from tests.public_code.base import BuggyOperator

BUGS: tuple[type[BuggyOperator], ...] = tuple(
    value
    for module in (routing_bugs, attention_bugs, loss_bugs)
    for value in vars(module).values()
    if isinstance(value, type) and "rule" in vars(value) and value.__module__ == module.__name__
)
globals().update({bug.__name__: bug for bug in BUGS})
