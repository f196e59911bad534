"""Printing of results and messages, and the options that suggested commands contain.

Every text of a command is printed by a function of this module or by `mindref.cli.tables`, so that
no control character of a file reaches a terminal (security-R12).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mindref.errors import printable

if TYPE_CHECKING:
    from mindref.run.training_data import PreparedLog


def print_stdout(*lines: str, end: str = "\n") -> None:
    """Print lines on standard output. Control characters except line ends are escaped."""
    for line in lines:
        click.echo(printable(line, keep="\n") + end, nl=False)  # security-R12


def print_json(value: object) -> None:
    """Print a value as one line of JSON on standard output, in ASCII."""
    click.echo(json.dumps(value))


def print_stderr(*lines: str) -> None:
    """Print lines on standard error, escaped; an error while writing is ignored."""
    for line in lines:
        with suppress(OSError):  # faults-R11: closed pipe, full disk, terminal gone
            click.echo(printable(line, keep="\n"), err=True)  # security-R12


def print_as_warnings(lines: Iterable[str]) -> None:
    """Print warnings on standard error."""
    print_stderr(*(f"Warning: {line}" for line in lines))


def warn_unfinished(run: Path) -> None:
    """Print a warning if the training of a run was stopped: it has a state but no report.

    The runs of an experiment have no report.
    """
    from mindref.experiments.runs import PROGRESS_FILE
    from mindref.run import array_files, report

    if (run / PROGRESS_FILE).exists() or (run / report.NAME).exists():
        return
    if (run / array_files.STATE).exists():
        command = f"mindref train --resume {shlex.quote(str(run))}"
        print_as_warnings([f"the training of {run} is not finished; {command} continues it"])


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
