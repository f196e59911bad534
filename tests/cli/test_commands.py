"""Behaviour of all commands: help, completion, exit codes, one-line errors, compilation, output."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from unittest.mock import Mock

import click
import pytest
from click.shell_completion import BashComplete

import mindref
from mindref import cli as commands
from mindref import kernels
from mindref.cli import COMMANDS, mindref_group
from mindref.cli.option_groups import FIRST
from mindref.cli.train import OPTION_GROUPS
from mindref.config import Config
from mindref.errors import DataError
from mindref.models.din_config import DinConfig
from mindref.models.registry import families_using
from tests.assertions import nonempty
from tests.runs import REPOSITORY, call, environment, messages, options, start

NAMES = list(commands.COMMANDS)
NUMBERS = (click.types.IntParamType, click.types.FloatParamType)


def options_of(name):
    command = commands.mindref_group.get_command(None, name)
    return [option for option in command.params if isinstance(option, click.Option)]


def test_every_module_with_a_command_is_listed():
    files = (REPOSITORY / "mindref" / "cli").glob("*.py")
    assert {x.stem for x in files if f"def {x.stem}_command(" in x.read_text()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_module_and_help(name, cli):
    result = cli.succeed(name, "--help")
    assert result.err == ""
    assert result.out.startswith(f"Usage: mindref {name} ")
    assert cli.succeed(name, "-h").out == result.out
    overview = cli("--help").out
    assert re.search(rf"^  {name} +\w", overview, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_help_and_numbers_a_range(name):
    for option in nonempty(options_of(name)):
        assert option.help, f"{name} {option.opts}"
        if isinstance(option.type, NUMBERS):
            assert re.search(r"\[?\d\S* to \S+|from \d", option.help), f"{option.opts}: no range"


def test_the_help_of_train_shows_each_option_in_one_group_and_ten_first(cli):
    text = cli("train", "--help").out
    titles = re.findall(r"^([A-Z].*):$", text, re.M)
    sections = dict(zip(titles, re.split(r"^[A-Z].*:$", text, flags=re.M)[1:], strict=True))
    options = {x: re.findall(r"^  (?:-\w, )?(--[\w-]+)", y, re.M) for x, y in sections.items()}
    assert [*options] == [FIRST, *OPTION_GROUPS]
    assert options[FIRST][:3] == ["--data", "--user", "--item"]
    assert len(options[FIRST]) == 10
    assert "--patience" in options["Training"]
    assert options["Computation and output"] == ["--device", "--quiet", "--json", "--help"]
    shown = [name for names in options.values() for name in names]
    assert sorted(shown) == sorted([*(x.opts[-1] for x in options_of("train")), "--help"])


def test_every_setting_is_an_option_with_its_range_and_default():
    names = {option.name: option for option in options_of("train")}
    for setting in dataclasses.fields(Config):
        option = names[setting.name]
        text = str(option.help)
        assert option.opts[0] == f"--{setting.name.replace('_', '-')}"
        assert option.default is None, "a default of the option would win over --config"
        if "low" in setting.metadata:
            low, high = setting.metadata["low"], setting.metadata["high"]
            assert f"[{low} to {high}; default {setting.default}" in text
        families = families_using(setting.name)
        shared = setting.name in {x.name for x in dataclasses.fields(DinConfig)}
        families += ("din",) if families and shared else ()
        *others, last = families or [""]
        listed = f"{', '.join(others)} and {last}" if others else last
        assert text.endswith(f"; {listed} only]") if listed else " only]" not in text
        if "options" in setting.metadata:
            assert isinstance(option.type, click.Choice)
            changes = ["din"] if setting.name == "model" else []  # the reranker
            assert list(option.type.choices) == [*setting.metadata["options"], *changes]
        assert "default" in text, option.opts


def test_without_a_command_the_commands_are_listed(cli):
    result = cli()
    assert result.code == 2
    assert all(name in result.out + result.err for name in NAMES)
    assert cli("--version") == (0, f"mindref, version {mindref.__version__}\n", "")


BUG = (
    "Error: ZeroDivisionError: divided by zero; this is a bug in mindref: please report it, with"
    " the output of the same command under MINDREF_TRACEBACK=1 and the output of mindref doctor\n"
)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ZeroDivisionError("divided\nby zero"), 70, BUG),
        (DataError("log: expected more"), 2, "Error: log: expected more\n"),
        (MemoryError(), 2, "Error: memory: expected room for the arrays, got none; lower --batch"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
    ids=repr,
)
def test_an_error_is_one_line_with_its_exit_code(cli, monkeypatch, run, error, code, line):
    recall_lists = "mindref.recommender.serving.recall.recall_lists"
    monkeypatch.setattr(recall_lists, Mock(side_effect=error))
    monkeypatch.delenv("MINDREF_TRACEBACK", raising=False)
    result = cli("recall", run, "--history", "")
    assert (result.code, result.out) == (code, "")
    assert line in result.err
    monkeypatch.setenv("MINDREF_TRACEBACK", "1")
    if code == 70:
        with pytest.raises(ZeroDivisionError):
            commands.main(["recall", str(run), "--history", ""])


def test_backends_are_listed_and_an_unusable_one_with_its_reason(cli, monkeypatch):
    assert re.search(r"^numpy +ops$", cli("backends").out, re.M)
    numpy = next(row for row in cli.json("backends") if row["name"] == "numpy")
    assert numpy["usable"]
    assert "routing" in numpy["operators"]

    backend = Mock(**{"capabilities.side_effect": RuntimeError("no device")})
    monkeypatch.setattr("mindref.backend.load_backend", lambda name: backend)
    result = cli.succeed("backends")
    assert "not usable: RuntimeError: no device" in result.out


@pytest.mark.rules("faults-R11")
@pytest.mark.parametrize(
    ("words", "closed"),
    [
        ("--help", ">&-"),
        ("recall RUN --all-users --top 110", ">&-"),
        pytest.param("evaluate RUN", ">&- 2>&-", marks=pytest.mark.slow),
        pytest.param("recall RUN --history '' --json", ">&-", marks=pytest.mark.slow),
        pytest.param("recall RUN --all-users --output lists", ">&- 2>&-", marks=pytest.mark.slow),
    ],
)
def test_closed_streams_end_a_command_silently(run, tmp_path, words, closed):
    """The streams are closed before the start, by their reader, or while it reads."""
    command = [str(run) if word == "RUN" else word for word in shlex.split(words)]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "mindref", *command]
    options = {"cwd": tmp_path, "env": environment(), "check": False}
    assert subprocess.run(shell, **options).returncode == 0
    for reads in (0, 1):
        with start(*command, stdout=subprocess.PIPE, cwd=tmp_path) as child:
            if reads:
                child.stdout.read(10)
            child.stdout.close()
            assert child.stderr.read() == ""
            assert child.wait(timeout=60) == 0
    assert (tmp_path / "lists").exists() == ("lists" in words)


def test_a_training_continues_when_stderr_is_closed(shop, tmp_path):
    arguments = ["train", "--data", shop, "--out", tmp_path / "run", *options()]
    with start(*arguments, stdout=subprocess.PIPE) as child:
        child.stderr.close()
        assert "hit_rate@10" in child.stdout.read()
        assert child.wait(timeout=60) == 0
    assert (tmp_path / "run" / "report.json").exists()


@pytest.mark.slow
def test_titles_outside_the_output_encoding_are_escaped(tmp_path):
    log = tmp_path / "log.jsonl"
    rows = [
        (user, item) for user in "abcdef" for item in ("é", "\ud800", "x\ty", "千", "5", "6", "7")
    ]
    log.write_text("".join(json.dumps({"user": u, "item": i}) + "\n" for u, i in rows))
    few = options(metric="hit_rate@2", steps=1)
    done = call("train", "--data", log, "--out", "run", "--quiet", *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    system = {"cwd": tmp_path, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for form in (["--format", "table"], ["--format", "tsv"], ["--format", "jsonl"], ["--json"]):
        arguments = ["--include-seen", *form]
        done = call("recall", "run", "--history", "x", *arguments, **system)
        assert done.returncode == 2, "x is not in the catalogue"
        done = call("recall", "run", "--history", "5", *arguments, **system)
        assert (done.returncode, messages(done.stderr)) == (0, ""), form
        assert "\\u5343" in done.stdout or "\\u" in done.stdout
    assert json.loads(done.stdout)[0]["items"][0]["rank"] == 1


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [
        ([], "", set(COMMANDS)),
        ([], "tr", {"train"}),
        (["train"], "--preset-", set()),
        (["recall"], "--ind", {"--index"}),
        (["train", "--preset"], "r", {"recommended"}),
    ],
)
def test_commands_options_and_choices_are_completed(words, word, expected):
    complete = BashComplete(mindref_group, {}, "mindref", "_MINDREF_COMPLETE")
    proposals = {item.value for item in complete.get_completions(words, word)}
    assert proposals == expected


@pytest.mark.slow
@pytest.mark.parametrize("is_cached", [True, False])
def test_compilation_is_announced_in_the_first_run_and_without_a_cache_in_every(
    tmp_path, is_cached
):
    """Train with the reference: it compiles only the top-n search, which takes few seconds."""
    variables = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    variables |= {} if is_cached else {"MINDREF_NUMBA_CACHE": "0"}
    settings = options(steps=1, evaluate_every=1, backend="numpy")
    for run in ("first", "second") if is_cached else ("first",):
        words = ["train", "--out", run, "--quiet", *settings]
        done = call(*words, cwd=tmp_path, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(commands.COMPILING) == (run == "first")
        assert any(files for _, _, files in os.walk(tmp_path / "cache")) == is_cached


def test_the_compilation_listener_is_removed_after_the_command():
    with commands.announce_compilation("compiling"):
        assert kernels.listeners
    assert not kernels.listeners
