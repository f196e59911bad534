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
from mindref.cli import main, streams
from mindref.cli.tables import show_table
from mindref.run import items
from tests.runs import HISTORIES
from tests.security.tampering import edit_json

NASTY = "\x1b[2J\x9b31m\x07\x7f\x00"


@pytest.mark.rules("security-R12")
def test_messages_and_tables_escape_control_characters():
    text = errors.say(f"{NASTY} a", NASTY, NASTY, NASTY)
    assert text.isprintable()
    assert errors.say("a", "b", "c\nd", "e\nf") == "a: expected b, got c\\nd; e\nf"


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


PRINTERS = {
    "cli/streams.py", "cli/tables.py", "cli/__init__.py", "cli/progress.py",
    "study/exercises/options.py",
    # names of the user's own backends and checks, and a script for the user
    "conformance/report/terminal.py", "conformance/report/reproduction_template.py",
    # programs of the repository
    "doctor/probes.py", "conformance/golden/golden.py", "study/models/built_in_training.py",
}  # fmt: skip


@pytest.mark.rules("security-R12")
def test_few_modules_print_and_all_others_call_them():
    folder, prints = Path(errors.__file__).parent, set()
    for path in folder.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        names = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        if any(x in ("print", "click.echo") or x.endswith("console.print") for x in names):
            prints.add(str(path.relative_to(folder)))
    assert prints == PRINTERS
