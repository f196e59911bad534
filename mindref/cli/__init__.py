"""The commands. A command is a module of this folder; its path is its name.

    train      a log to a trained, judged model in a run directory
    evaluate   judge a run on full rankings
    recall     the best items for users or histories
    backends   who can compute, and why any cannot

Commands print and decide nothing: what they do stands in mindref.recommender. Heavy imports are
made inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import mindref
from mindref.errors import MindrefError

COMMANDS = ("train", "evaluate", "recall", "backends")


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


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mindref.__version__, prog_name="mindref")
def group() -> None:
    """MIND, the multi-interest network with dynamic routing: train, evaluate, recall.

    Without any data, `mindref train` uses a built-in catalogue with planted interests.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit 0: success, 1: a result that failed, 2: bad input, 130: Ctrl-C."""
    try:
        code = group.main(arguments, prog_name="mindref", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MindrefError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(0)
