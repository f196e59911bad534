"""The command line: one module per command, `COMMANDS` lists them.

The module of a command has the command's name. Commands parse options and print results; the work
is done in other packages. Heavy modules are imported inside the commands, so that `--help` is
fast.

Exit codes:

    0      success
    1      a result that failed
    2      wrong usage or bad input; one line says what to do
    70     a bug in mindref; one line says how to report it. If MINDREF_TRACEBACK=1 is set, the
           traceback is shown instead
    129    stopped by SIGHUP
    130    stopped by Ctrl-C
    143    stopped by SIGTERM

A stopped training saves its state and prints the command that resumes it. No other command leaves
an incomplete file.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import NoReturn

import click

import mindref
from mindref.cli import signals
from mindref.cli.streams import print_stderr
from mindref.cli.system_errors import system_error_message
from mindref.errors import MindrefError, printable
from mindref.process.announcements import listen

COMMANDS = (
    "train",
    "evaluate",
    "recall",
    "similar",
    "export",
    "serve",
    "tune",
    "compare",
    "ablate",
    "backends",
    "conform",
    "study",
    "bench",
    "doctor",
)


class OutputClosed(Exception):
    """Standard output was closed by its reader, for example by `head`."""


@contextmanager
def detect_closed_output() -> Iterator[None]:
    """Raise OutputClosed for a closed pipe. click would exit with 1, a failed result."""
    try:
        yield
        if sys.stdout is not None:  # None: closed before Python started
            sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error


COMPILING = "compiling kernels: takes some seconds; cached for later runs if possible"


@contextmanager
def announce_compilation(line: str) -> Iterator[None]:
    """Print a line on standard error when the first kernel is compiled."""
    from mindref import kernels

    print_once = cache(partial(print_stderr, line))
    kernels.listeners.append(print_once)
    try:
        yield
    finally:
        kernels.listeners.remove(print_once)


class LazyGroup(click.Group):
    """A click group that imports a command when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command `NAME_command` of module `mindref.cli.NAME`, None if unknown."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"mindref.cli.{name}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Parse the arguments; print --help and --version."""
        with detect_closed_output():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        with detect_closed_output(), announce_compilation(COMPILING), listen(print_stderr):
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mindref.__version__, prog_name="mindref")
def mindref_group() -> None:
    """MIND, the multi-interest network with dynamic routing: train, evaluate and serve models.

    Start with `mindref train`. Without --data it trains on a built-in synthetic catalogue.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its exit code."""
    if sys.stdout is None:  # closed before Python started: results have no reader
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open to the end
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a title must not cause an error
    try:
        with signals.raise_on_signals():
            code = mindref_group.main(arguments, prog_name="mindref", standalone_mode=False)
        exit_process(code if isinstance(code, int) else 0)
    except OutputClosed:
        exit_process(0)
    except click.exceptions.Abort as error:
        exit_process(signals.signal_exit_code(error.__cause__), "Stopped.")
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        exit_process(error.exit_code)
    except MindrefError as error:
        exit_process(2, f"Error: {error}")
    except Exception as error:
        exit_on_unexpected(error)


def exit_on_unexpected(error: Exception) -> NoReturn:
    """Exit for an error that no command expects: one of the system (2), or a bug (70)."""
    if isinstance(error.__context__, KeyboardInterrupt):  # click failed to print its abort message
        exit_process(signals.signal_exit_code(error.__context__))
    if message := system_error_message(error):
        exit_process(2, f"Error: {message}")
    if os.environ.get("MINDREF_TRACEBACK") == "1":
        raise error
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    todo = "please report it, with the output of the same command under MINDREF_TRACEBACK=1"
    todo += " and the output of mindref doctor"
    exit_process(70, f"Error: {cause}; this is a bug in mindref: {todo}")


def exit_process(code: int, line: str = "") -> NoReturn:
    """Print a last line, flush and exit. Output that cannot be written is dropped."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, line)):
        if stream is None:  # closed before Python started
            continue
        try:
            if text:
                click.echo(printable(text, keep="\n"), file=stream)
            stream.flush()
        except OSError:  # faults-R11
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
