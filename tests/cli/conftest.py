"""Fixtures: a small log, a run trained on it, and commands called in this process."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mindref.cli import main
from mindref.cli.signals import SIGNALS
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests.runs import options


class CommandResult(NamedTuple):
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


Cli = Callable[..., CommandResult]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that calls a command and returns exit code and streams."""

    def call(*arguments):
        capfd.readouterr()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SIGNALS)}
        try:
            with pytest.raises(SystemExit) as ended:
                main([str(word) for word in arguments])
        finally:
            for number, handler in before.items():  # a stopped command ignores them to its end
                signal.signal(number, handler)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, out, err)

    return call


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 60 users as a file; files next to it hold titles, shelves and ages."""
    folder = tmp_path_factory.mktemp("shop")
    write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
    return folder / "shop.inter"


@pytest.fixture(scope="session")
def trained_run(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained by the command; a test that changes it uses a copy."""
    run = tmp_path_factory.mktemp("runs") / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--data", str(shop), "--out", str(run), "--quiet", "--json", *options()])
    assert ended.value.code == 0
    return run


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))
