"""Text of run files is printed without control characters, in messages, tables and lists."""

import re
from functools import partial

import pytest
from rich import console
from rich.table import Table

from mindref import errors
from mindref.backend import check_installed
from mindref.cli import main
from mindref.cli.tables import show_table
from mindref.errors import BackendError
from mindref.run import items, tsv
from tests.damage.damaged_runs import HISTORIES
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
