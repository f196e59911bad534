"""Only the exercises: python -m mindref.study.exercises --exercise NAME --check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from mindref.errors import MindrefError
from mindref.study.exercises.options import ExerciseOptions, exercise_options, run_exercise_command


@click.command("exercises")
@exercise_options
def exercises_command(exercise_settings: ExerciseOptions) -> int:
    """Learn MIND by writing it: 24 exercises, each checked against the reference."""
    code = run_exercise_command(exercise_settings)
    if code is None:
        code = run_exercise_command(exercise_settings._replace(exercises=True))
    return code or 0


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code, as `mindref` does."""
    try:
        code = exercises_command.main(arguments, prog_name="mindref study", standalone_mode=False)
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
