"""The exercises alone: python -m mindref.study.exercises --exercise NAME --check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from mindref.errors import MindrefError
from mindref.study.exercises.options import Asked, carry_out, exercise_options


@click.command("exercises")
@exercise_options
def command(asked: Asked) -> int:
    """Learn MIND by writing it: 24 exercises, each checked against the reference."""
    code = carry_out(asked)
    return carry_out(asked._replace(exercises=True)) or 0 if code is None else code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end with its exit code, as `mindref` does."""
    try:
        code = command.main(arguments, prog_name="mindref study", standalone_mode=False)
    except MindrefError as error:
        click.echo(f"Error: {error}", err=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Abort:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
