"""The commands. A command is a module of this folder; its path is its name.

    train      a log to a trained, judged model in a run directory
    evaluate   judge a run on full rankings
    recall     the best items for users or histories
    export     a run as files that are served without mindref
    compare    models with equal chances, on the same cases
    ablate     what each setting does
    backends   who can compute, and why any cannot
    indexes    what recall can search with, and why any cannot
    conform    judge a backend by the rules of the specification
    study      watch every step of the algorithm; exercises
    bench      time every installed backend, side by side
    doctor     does mindref work here, and what cannot be used

Commands print and decide nothing: what they do stands in mindref.recommender. Heavy imports are
made inside the commands, so that `--help` answers at once.

Exit codes: 0 success; 1 a result that failed; 2 usage or bad input, with one line that says what
to do; 70 a bug of ours, with one line that says how to report it (MINDREF_TRACEBACK=1 in the
environment shows the traceback instead); 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP. A
training that is stopped saves its state and says how to go on; nothing else leaves half a file.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

import mindref
from mindref.cli import ending
from mindref.cli.telling import tell
from mindref.errors import MindrefError, say

COMMANDS = (
    "train",
    "evaluate",
    "recall",
    "export",
    "compare",
    "ablate",
    "backends",
    "indexes",
    "conform",
    "study",
    "bench",
    "doctor",
)


class Gone(Exception):
    """The reader of our output has gone, as `head` does."""


@contextmanager
def noticing() -> Iterator[None]:
    """Raise Gone for a closed pipe, of which click would make exit code 1, a failed result."""
    try:
        yield
        if sys.stdout is not None:  # None: it was closed before Python began
            sys.stdout.flush()
    except BrokenPipeError as error:
        raise Gone from error


COMPILING = "compiling kernels: this takes some seconds, and is kept for later runs if it can be"


@contextmanager
def saying_once(line: str) -> Iterator[None]:
    """Say on standard error that functions are being compiled, instead of a silent wait."""
    from mindref import kernels

    def say_it() -> None:
        kernels.listeners.remove(say_it)
        tell(line)

    kernels.listeners.append(say_it)
    try:
        yield
    finally:
        with suppress(ValueError):  # it has been said
            kernels.listeners.remove(say_it)


class Lazy(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of the module of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mindref.cli.{name}").command
        return command

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Read the arguments, and answer --help and --version."""
        with noticing():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with noticing(), saying_once(COMPILING):
            return super().invoke(ctx)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mindref.__version__, prog_name="mindref")
def group() -> None:
    """MIND, the multi-interest network with dynamic routing: train, evaluate, recall.

    Without any data, `mindref train` uses a built-in catalogue with planted interests.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a title is no reason to fail
    try:
        with ending.heard():
            code = group.main(arguments, prog_name="mindref", standalone_mode=False)
        leave(code if isinstance(code, int) else 0)
    except Gone:
        leave(0)
    except click.exceptions.Abort as error:
        leave(ending.code_of(error.__cause__), "Stopped.")
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        leave(error.exit_code)
    except MindrefError as error:
        leave(2, f"Error: {error}")
    except MemoryError as error:
        todo = "lower what sets sizes, as --batch, --window, --width or --top, or raise the limit"
        leave(2, f"Error: {say('memory', 'room for the arrays', str(error) or 'none', todo)}")
    except Exception as error:
        unforeseen(error)


def unforeseen(error: Exception) -> NoReturn:
    """End the process for what no command foresees; all but a few kinds are bugs of ours."""
    if isinstance(error.__context__, KeyboardInterrupt):  # click could not say that it ends
        leave(ending.code_of(error.__context__))
    if isinstance(error, OSError) and (said := full(error)):
        leave(2, f"Error: {said}")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):  # faults-R13
        todo = "raise the limit with ulimit -u or -v, or lower --threads"
        leave(2, f"Error: {say('threads', 'room for another one', 'none', todo)}")
    if os.environ.get("MINDREF_TRACEBACK") == "1":
        raise error
    what = " ".join(f"{type(error).__name__}: {error}".split())
    how = "please report it, with what the same command shows under MINDREF_TRACEBACK=1"
    how += " and what mindref doctor says"
    leave(70, f"Error: {what}; this is a bug in mindref: {how}")


def full(error: OSError) -> str:
    """Return what is said of a place that takes no more bytes; a stream of ours has no name."""
    from mindref.run.atomic import FULL, TODO

    if error.errno not in FULL:
        return ""
    reason = error.strerror or str(error)
    where = str(error.filename or "standard output")
    return say(where, "a place that can be written", reason, TODO)


def leave(code: int, line: str = "") -> NoReturn:
    """End the process; what is left in a stream whose reader has gone is dropped."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, line)):
        if stream is None:  # it was closed before Python began
            continue
        try:
            if text:
                click.echo(text, file=stream)
            stream.flush()
        except OSError:  # faults-R11
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
