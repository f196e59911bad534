"""What a command says beside its result: on standard error, whether anybody listens or not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mindref.recommender.prepared import Prepared


def tell(line: str) -> None:
    """Say something on standard error; that nobody listens any more is no reason to stop."""
    with suppress(OSError):  # faults-R11: a closed pipe, a full disk, a terminal that is gone
        click.echo(line, err=True)


def trusting(backend: str) -> list[str]:
    """Return the words by which a user trusts a backend that a run names by its module.

    A run does not say alone what is imported (security-R9).
    """
    return ["--backend", backend] if ":" in backend else []


def somebody(prepared: Prepared) -> str:
    """Return the option that asks for the first user of the test cases.

    Of all users where no terminal should obey the id.
    """
    user = prepared.loaded.log.user_ids[int(prepared.split.test.users[0])]
    return f"--user={user}" if user.isprintable() else "--all-users"
