"""Nothing that a file holds speaks to a terminal, in messages, tables or lists."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from mindref import errors
from mindref.backend import check_installed
from mindref.errors import BackendError
from mindref.run import items, tsv
from tests.damage.damaged_runs import HISTORIES
from tests.security.hands import change

NASTY = "\x1b[2J\x9b31m\x07\x7f\x00"


@pytest.mark.rules("security-R12")
def test_nothing_of_a_file_speaks_to_a_terminal(run: Path) -> None:
    text = errors.say(f"{NASTY} a", NASTY, NASTY, NASTY)
    assert text.isprintable()
    assert errors.say("a", "b", "c\nd", "e\nf") == "a: expected b, got c\\nd; e\nf", (
        "ours are lines"
    )
    assert tsv.unescape(tsv.escape(NASTY)) == NASTY
    assert tsv.escape(NASTY).isprintable()


@pytest.mark.rules("security-R12")
@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_holds_text_alone(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich import console
    from rich.table import Table

    from mindref.cli.tables import show_table

    if terminal:
        forced = partial(console.Console, force_terminal=True, color_system="standard")
        monkeypatch.setattr(console, "Console", forced)
    link = "[link=https://x.y]z[/link]"
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY, style="bold")
    table.add_row(link)
    drawn: list[str] = []
    monkeypatch.setattr("click.echo", lambda text, **_: drawn.append(text))  # it strips styles here
    show_table(table)
    said = "".join(drawn)
    assert ("\x1b[1m" in said) is terminal, "the style of a row"
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)
    assert plain.replace("\n", "").isprintable()
    assert plain.count(r"\x1b[2J") == 3
    assert link in said


@pytest.mark.rules("security-R12")
def test_the_name_of_a_backend_begins_no_line() -> None:
    with pytest.raises(BackendError) as caught:
        check_installed("evil:x\nError: run this", "here")
    assert str(caught.value).isprintable()


@pytest.mark.rules("security-R12")
def test_titles_and_warnings_of_a_stranger_are_shown_without_control_characters(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mindref.cli import main

    known = items.read_items(run / "items.tsv")
    found = items.write_items(run / "items.tsv", known.ids, known.counts, [NASTY] * len(known.ids))
    place = {"place": f"/nowhere/{NASTY}".replace("\0", ""), "options": {}}
    change(run / "config.json", lambda words: words.update(items=found, source=place))
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
        said = "".join(capfd.readouterr())
        assert said.replace("\n", "").replace("\t", "").isprintable(), said
        assert "[2J" in said, "it is shown, and does nothing"
