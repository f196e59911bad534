"""Messages on standard error, and the options that suggested commands contain."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mindref.run.training_data import PreparedLog


def print_stderr(line: str) -> None:
    """Print a line on standard error; an error while writing is ignored."""
    with suppress(OSError):  # faults-R11: closed pipe, full disk, terminal gone
        click.echo(line, err=True)


def print_as_warnings(lines: Iterable[str]) -> None:
    """Print warnings on standard error."""
    for line in lines:
        print_stderr(f"Warning: {line}")


def warn_unfinished(run: Path) -> None:
    """Print a warning if the training of a run was stopped: it has a state but no report."""
    from mindref.run import array_files, report

    if (run / array_files.STATE).exists() and not (run / report.NAME).exists():
        todo = f"mindref train --resume {shlex.quote(str(run))} continues it"
        print_as_warnings([f"the training of {run} is not finished; {todo}"])


def trust_option(backend: str) -> list[str]:
    """Return the option that confirms trust in a backend of the form `module:object`.

    A run alone must not decide which code is imported (security-R9).
    """
    return ["--backend", backend] if ":" in backend else []


def example_user_option(prepared: PreparedLog) -> str:
    """Return the option for the first user of the test cases, or of the training without them.

    If the id of the user has control characters, return --all-users.
    """
    test, trained = prepared.split.test.users, prepared.split.train_users
    user = prepared.loaded.log.user_ids[int((test if len(test) else trained)[0])]
    return f"--user={user}" if user.isprintable() else "--all-users"
