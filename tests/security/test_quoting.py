"""Text of run files is printed without control characters, in messages, tables and lists."""

import ast
import json
import re
from functools import partial
from pathlib import Path

import pytest
from rich import console
from rich.table import Table

from mindref import errors
from mindref.backend import check_installed
from mindref.cli import main, streams
from mindref.cli.tables import show_table
from mindref.errors import BackendError
from mindref.run import items, tsv
from mindref.study.trace import Trace
from tests.runs import HISTORIES
from tests.security.tampering import edit_json

NASTY = "\x1b[2J\x9b31m\x07\x7f\x00"


@pytest.mark.rules("security-R12")
def test_messages_and_tables_escape_control_characters():
    text = errors.say(f"{NASTY} a", NASTY, NASTY, NASTY)
    assert text.isprintable()
    assert errors.say("a", "b", "c\nd", "e\nf") == "a: expected b, got c\\nd; e\nf"
    assert tsv.unescape(tsv.escape(NASTY)) == NASTY
    assert tsv.escape(NASTY).isprintable()


@pytest.mark.rules("security-R12")
@pytest.mark.parametrize("terminal", [False, True])
def test_a_printed_table_escapes_control_characters(terminal, monkeypatch):
    if terminal:
        forced = partial(console.Console, force_terminal=True, color_system="standard")
        monkeypatch.setattr(console, "Console", forced)
    link = "[link=https://x.y]z[/link]"
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY, style="bold")
    table.add_row(link)
    drawn = []
    monkeypatch.setattr("click.echo", lambda text, **_: drawn.append(text))  # it strips styles here
    show_table(table)
    output = "".join(drawn)
    assert ("\x1b[1m" in output) is terminal, "the style of a row"
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    assert plain.replace("\n", "").isprintable()
    assert plain.count(r"\x1b[2J") == 3
    assert link in output


@pytest.mark.rules("security-R12")
def test_the_error_of_an_unknown_backend_is_one_printable_line():
    with pytest.raises(BackendError) as caught:
        check_installed("evil:x\nError: run this", "here")
    assert str(caught.value).isprintable()


@pytest.mark.rules("security-R12")
def test_commands_escape_control_characters_of_run_files(run, capfd):
    original = items.read_items(run / "items.tsv")
    digest = items.write_items(
        run / "items.tsv", original.ids, original.counts, [NASTY] * len(original.ids)
    )
    source = {"place": f"/nowhere/{NASTY}".replace("\0", ""), "options": {}}
    edit_json(run / "config.json", lambda words: words.update(items=digest, source=source))
    history = ",".join(HISTORIES[0])
    for words in (
        ["recall", str(run), "--history", history],
        ["recall", str(run), "--history", history, "--format", "tsv"],
        ["recall", str(run), "--history", history, "--json"],
        ["recall", str(run), "--user", NASTY.replace("\0", "")],
        ["evaluate", str(run)],
    ):
        with pytest.raises(SystemExit):
            main(words)
        output = "".join(capfd.readouterr())
        assert output.replace("\n", "").replace("\t", "").isprintable(), output
        assert "[2J" in output, "the text is printed without its control character"


@pytest.mark.rules("security-R12")
def test_printed_lines_and_json_are_escaped(capfd):
    streams.print_stdout(f"{NASTY}\nb")
    streams.print_stderr(f"{NASTY}\nb")
    streams.print_json({"a": NASTY})
    out, err = capfd.readouterr()
    for text in (out, err):
        assert text.replace("\n", "").isprintable()
        assert "\\x1b[2J" in text
    text = json.dumps({NASTY: [NASTY, "é\u2028\U000e0001"]}, indent=1, ensure_ascii=False)
    escaped = errors.printable_json(text)
    assert escaped.replace("\n", "").isprintable()
    assert "é" in escaped
    assert json.loads(escaped) == json.loads(text)


@pytest.mark.rules("security-R12")
def test_a_trace_with_control_characters_is_printable_json():
    trace = Trace({"user": NASTY}, {"item": [f"{NASTY}\x85"]}, [])
    text = trace.to_json()
    assert text.replace("\n", "").isprintable()
    assert Trace.from_json(text).metadata == {"user": NASTY}


PRINTERS = {
    "cli/streams.py": ["click.echo"] * 3,  # standard output, JSON in ASCII, standard error
    "cli/tables.py": ["click.echo", "console.print"],  # segments that are escaped
    "cli/__init__.py": ["click.echo"],  # the last line of a command
    "study/exercises/options.py": ["click.echo"],
    "cli/progress.py": ["self.bar.console.print"],  # a line that is escaped
    # names of the user's own backends and checks
    "conformance/report/terminal.py": ["console.print"] * 3,
    "conformance/report/reproduction_template.py": ["print"] * 2,  # a script for the user
    # programs of the repository
    "doctor/probes.py": ["print"],
    "conformance/golden/golden.py": ["print"],
    "study/models/built_in_training.py": ["print"],
}
"""File -> calls that print."""


def printing_calls(text):
    """Return the calls of a module that print by click, rich or Python itself."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func) for call in calls]
    return sorted(x for x in names if x in ("print", "click.echo") or x.endswith("console.print"))


@pytest.mark.rules("security-R12")
def test_every_text_is_printed_by_a_function_that_escapes():
    folder = Path(errors.__file__).parent
    texts = {str(p.relative_to(folder)): p.read_text("utf-8") for p in folder.rglob("*.py")}
    calls = {name: printing_calls(text) for name, text in texts.items()}
    assert {name: names for name, names in calls.items() if names} == PRINTERS
    assert printing_calls("click.echo(1)\nprint(2)\nself.console.print(3)\necho(4)") == [
        "click.echo", "print", "self.console.print",
    ]  # fmt: skip
