"""Fixtures: a small log, a run trained on it, and commands called in this process."""

import json
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from mindref.cli import main
from mindref.cli.signals import SIGNALS
from mindref.run.source import Source
from tests.runs import options, write_shop

DIN_OPTIONS = [
    "--width", "8", "--window", "5", "--attention-hidden", "4", "--hidden", "8", "--steps", "4",
    "--candidates", "20", "--recalled-negatives", "6", "--popular-negatives", "3", "--batch", "16",
]  # fmt: skip


class CommandResult(NamedTuple):
    code: int
    out: str
    err: str


class Cli:
    def __init__(self, capfd):
        self.capfd = capfd

    def __call__(self, *arguments):
        """Return the exit code and the streams of a command."""
        self.capfd.readouterr()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SIGNALS)}
        try:
            with pytest.raises(SystemExit) as ended:
                main([str(word) for word in arguments])
        finally:
            for number, handler in before.items():  # a stopped command ignores them to its end
                signal.signal(number, handler)
        out, err = self.capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, out, err)

    def json(self, *arguments):
        """Return the JSON that a successful command prints."""
        return json.loads(self.succeed(*arguments, "--json").out)

    def succeed(self, *arguments):
        """Return the result of a command that exits with code 0."""
        result = self(*arguments)
        assert result.code == 0, result.err
        return result

    def error(self, *arguments):
        """Return the message of a command that exits with code 2 and prints no result."""
        result = self(*arguments)
        assert (result.code, result.out) == (2, "")
        return result.err

    def error_line(self, *arguments):
        """Return the message of such a command, which must be one line."""
        message = self.error(*arguments)
        assert message.startswith("Error: ")
        assert message.count("\n") == 1
        return message


@pytest.fixture
def cli(capfd):
    return Cli(capfd)


@pytest.fixture
def unread_log(monkeypatch):
    """Reading a log fails the test."""
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A log of 60 users as a file; files next to it hold titles, shelves and ages."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder / "shop.inter"


def train_run(out, *words):
    """Train a run by the command; return its folder."""
    with pytest.raises(SystemExit) as ended:
        main(["train", "--out", str(out), "--quiet", "--json", *map(str, words)])
    assert ended.value.code == 0
    return out


@pytest.fixture(scope="session")
def trained_run(shop, tmp_path_factory):
    """A run trained by the command; a test that changes it uses a copy."""
    return train_run(tmp_path_factory.mktemp("runs") / "run", "--data", shop, *options())


@pytest.fixture(scope="session")
def din_run(trained_run, tmp_path_factory):
    """A run of DIN, which reranks the items of `trained_run`."""
    out = tmp_path_factory.mktemp("din_runs") / "din"
    return train_run(out, "--model", "din", "--recall", trained_run, *DIN_OPTIONS)


@pytest.fixture
def run(trained_run, tmp_path):
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture(autouse=True)
def hangup_has_its_default():
    """SIGHUP ends a command although `nohup` started the tests; `nohup` ignores the signal."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
