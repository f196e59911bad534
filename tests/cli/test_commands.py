"""What all commands share: help, exit codes, one line for an error, JSON alone on stdout."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import mindref
from mindref import cli as commands
from mindref.config import Config
from mindref.errors import DataError
from tests.cli.conftest import Cli
from tests.runs import REPOSITORY, call, environment, options

NAMES = list(commands.COMMANDS)
NUMBERS = (click.types.IntParamType, click.types.FloatParamType)


def command(name: str) -> click.Command:
    found: click.Command = importlib.import_module(f"mindref.cli.{name}").command
    return found


def options_of(name: str) -> list[click.Option]:
    return [option for option in command(name).params if isinstance(option, click.Option)]


def test_the_list_of_commands_is_the_list_in_the_docstring() -> None:
    assert commands.__doc__ is not None
    assert re.findall(r"^    (\w+)  ", commands.__doc__, re.M) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_a_module_and_help(name: str, cli: Cli) -> None:
    assert (REPOSITORY / "mindref" / "cli" / f"{name}.py").is_file()
    said = cli(name, "--help")
    assert said.code == 0
    assert said.err == ""
    assert said.out.startswith(f"Usage: mindref {name} ")
    assert cli(name, "-h").out == said.out
    overview = cli("--help").out
    assert re.search(rf"^  {name} +\w", overview, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_does_and_numbers_their_range(name: str) -> None:
    for option in options_of(name):
        assert option.help, f"{name} {option.opts}"
        if isinstance(option.type, NUMBERS):
            assert re.search(r"\[?\d\S* to \S+|from \d", option.help), f"{option.opts}: no range"


def test_every_setting_is_an_option_with_its_range_and_default() -> None:
    known = {option.name: option for option in options_of("train")}
    for setting in dataclasses.fields(Config):
        option = known[setting.name]
        text = str(option.help)
        assert option.opts[0] == f"--{setting.name.replace('_', '-')}"
        assert option.default is None, "a default of the option would win over --config"
        if "low" in setting.metadata:
            low, high = setting.metadata["low"], setting.metadata["high"]
            assert f"[{low} to {high}; default {setting.default}" in text
        alone = " and ".join(setting.metadata.get("of", ()))
        assert text.endswith(f"; {alone} alone]") if alone else "alone]" not in text
        if "options" in setting.metadata:
            assert isinstance(option.type, click.Choice)
            more = ["din"] if setting.name == "model" else []  # the ranking stage
            assert list(option.type.choices) == [*setting.metadata["options"], *more]
        assert "default" in text, option.opts


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version") == (0, f"mindref, version {mindref.__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["tarin"],
        ["train", "--colour", "red"],
        ["train", "--steps", "many"],
        ["train", "--routing", "static"],
        ["train", "--split", "mine"],
        ["train", "--threads", "0"],
        ["recall"],
        ["recall", "run", "--top", "0"],
        ["backends", "extra"],
    ],
)
def test_wrong_usage_ends_with_2_and_how_to_get_help(words: list[str], cli: Cli) -> None:
    said = cli(*words)
    assert said.code == 2
    assert said.out == ""
    assert "Error: " in said.err
    assert "--help' for help" in said.err.replace('"', "'")


def test_no_command_at_all_shows_the_commands(cli: Cli) -> None:
    said = cli()
    assert said.code == 2
    assert all(name in said.out + said.err for name in NAMES)


def test_a_bug_is_one_line_that_says_how_to_report_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, run: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("divided\nby zero")

    monkeypatch.setattr("mindref.recommender.bulk.recall", broken)
    monkeypatch.delenv("MINDREF_TRACEBACK", raising=False)
    said = cli("recall", run, "--history", "")
    assert said.code == 70
    assert said.out == ""
    assert said.err == (
        "Error: ZeroDivisionError: divided by zero; this is a bug in mindref: please report it,"
        " with what the same command shows under MINDREF_TRACEBACK=1 and what mindref doctor says\n"
    )
    monkeypatch.setenv("MINDREF_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        commands.main(["recall", str(run), "--history", ""])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("log: expected more"), "Error: log: expected more\n"),
        (
            MemoryError(),
            "Error: memory: expected room for the arrays, got none; lower what sets sizes",
        ),
        (KeyboardInterrupt(), "Stopped."),
    ],
)
def test_errors_that_a_user_can_mend_are_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, run: Path, error: BaseException, line: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mindref.recommender.bulk.recall", broken)
    said = cli("recall", run, "--history", "")
    assert said.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert line in said.err
    assert said.out == ""


def test_backends_are_listed(cli: Cli) -> None:
    said = cli("backends")
    assert said.code == 0
    assert re.search(r"^numpy +ops$", said.out, re.M)
    rows = json.loads(cli("backends", "--json").out)
    numpy = next(row for row in rows if row["name"] == "numpy")
    assert numpy["usable"]
    assert "routing" in numpy["operators"]


def test_a_backend_that_cannot_be_used_is_listed_with_its_reason(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("no device")

    found = type("Broken", (), {"capabilities": staticmethod(broken)})()
    monkeypatch.setattr("mindref.backend.load", lambda name: found)
    said = cli("backends")
    assert said.code == 0
    assert "not usable: RuntimeError: no device" in said.out


@pytest.mark.parametrize("words", [["--all-users"], ["--all-users", "--json"], ["--history", ""]])
@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.slow(every=6)
def test_a_closed_pipe_ends_a_command_in_silence(run: Path, words: list[str], lines: int) -> None:
    command = [sys.executable, "-m", "mindref", "recall", str(run), "--top", "110", *words]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(lines):
            child.stdout.read(10)
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 0


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_a_closed_pipe_ends_the_help_in_silence(words: list[str]) -> None:
    command = [sys.executable, "-m", "mindref", *words]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_report_into_a_closed_pipe_ends_in_silence(run: Path) -> None:
    command = [sys.executable, "-m", "mindref", "evaluate", str(run)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 0


def test_a_training_goes_on_when_nobody_reads_its_progress(shop: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(shop), "--out", str(tmp_path / "run"), *options()]
    with subprocess.Popen(
        [sys.executable, "-m", "mindref", *words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stderr.close()
        assert b"hit_rate@10" in child.stdout.read()
        assert child.wait(timeout=60) == 0
    assert (tmp_path / "run" / "report.json").exists()


@pytest.mark.slow
def test_titles_that_a_terminal_cannot_show_are_no_reason_to_fail(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [(user, item) for user in "abcdef" for item in ("é", "\ud800", "x\ty", "千", "5", "6")]
    log.write_text("".join(json.dumps({"user": u, "item": i}) + "\n" for u, i in rows))
    few = options(metric="hit_rate@2", steps=1)
    done = call("train", "--data", log, "--out", "run", "--quiet", *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for form in (["--format", "table"], ["--format", "tsv"], ["--format", "jsonl"], ["--json"]):
        done = call(
            "recall", "run", "--history", "x", "--include-seen", *form,
            cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0",
        )  # fmt: skip
        assert done.returncode == 2, "x is not in the catalogue"
        done = call(
            "recall", "run", "--history", "5", "--include-seen", *form,
            cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0",
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), form
        assert "\\u5343" in done.stdout or "\\u" in done.stdout
    assert json.loads(done.stdout)[0]["items"][0]["rank"] == 1
