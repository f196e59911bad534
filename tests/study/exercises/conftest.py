"""A workspace in a temporary folder, and the command as a learner calls it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mindref.cli.study import study_command
from mindref.errors import MindrefError
from mindref.study.exercises.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace; the command uses the same folder."""
    monkeypatch.chdir(tmp_path)
    return Workspace()


@pytest.fixture
def study(workspace):
    """Call the command and return its output and code, 2 for a usage error."""

    def call(*words, answer=None):
        result = CliRunner().invoke(study_command, words, input=answer, standalone_mode=False)
        if isinstance(result.exception, MindrefError):
            return SimpleNamespace(exit_code=2, output=str(result.exception))
        if result.exception is not None:
            raise result.exception
        return SimpleNamespace(exit_code=result.return_value or 0, output=result.output)

    return call
