"""A desk in a folder of its own, and the command as a learner calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from mindref.errors import MindrefError
from mindref.study.exercises.__main__ import command
from mindref.study.exercises.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An empty place to work in, which is where the command works, too."""
    monkeypatch.chdir(tmp_path)
    return Desk()


class Done(NamedTuple):
    """What a call of the command came to."""

    exit_code: int
    output: str


Study = Callable[..., Done]


@pytest.fixture
def study(desk: Desk) -> Study:
    """Call the command and return its output and code, 2 for an error of use."""

    def call(*words: str, answer: str | None = None) -> Done:
        result = CliRunner().invoke(command, words, input=answer, standalone_mode=False)
        if isinstance(result.exception, MindrefError):
            return Done(2, str(result.exception))
        if result.exception is not None:
            raise result.exception
        return Done(result.return_value or 0, result.output)

    return call
