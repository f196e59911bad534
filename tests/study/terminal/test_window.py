"""A step fits the window: rows, padding and parameters fold; weights are shaded; `n` asks first."""

import io
import re
from itertools import pairwise

import numpy as np
import pytest

from mindref.study.terminal import View, print_view, run_session
from mindref.study.terminal.lookup import find_step
from mindref.study.terminal.screen import Window, format_heading, format_screen
from mindref.study.terminal.text import display_width
from mindref.study.terminal.window import BLOCKS
from tests.study.terminal.conftest import Terminal
from tests.study.terminal.reading import is_rounded, parse_screen

SIZES = [(80, 24), (120, 40), (200, 50)]


def show(user, step, columns=80, lines=22, all_=False):
    step_index = find_step(user.trace, step)
    return [
        x.text for x in format_screen(user.trace, step_index, columns, all_, Window(lines, True))
    ]


def run_typed(user, monkeypatch, *typed, columns=80, lines=24, out=None):
    """Return the outputs of a session in a terminal: the first, then one for each typed line."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    remaining, out, ends = iter([*typed, "q"]), out or Terminal(), []

    def read(prompt):
        ends.append(out.tell())
        return next(remaining)

    monkeypatch.setattr("builtins.input", read)
    run_session(*user, stdin=Terminal(), stdout=out)
    bounds = [0, *ends]
    return [out.getvalue()[a:b] for a, b in pairwise(bounds)]


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_every_step_fits_the_window_with_its_heading(columns, lines, film_club):
    for i, step in enumerate(film_club.trace.steps):
        screen = format_screen(film_club.trace, i, columns, False, Window(lines - 2, True))
        assert len(screen) <= lines - 2, step.id
        assert all(display_width(line.text) <= columns for line in screen)
        heading = format_heading(film_club.trace, i, columns, with_letters=False)
        assert [line.text.rstrip() for line in heading] == [
            line.text for line in screen[: len(heading)]
        ]
        text = "\n".join(line.text for line in screen)
        assert all(tensor.name in text for tensor in step.outputs), step.id


def test_a_screen_in_full_repeats_its_heading_at_the_end(film_club):
    step_index = find_step(film_club.trace, "routing[2].weights")
    heading = [line.text for line in format_heading(film_club.trace, step_index, 80)]
    for lines, count in ((22, 2), (400, 1)):
        screen = show(film_club, "routing[2].weights", lines=lines, all_=True)
        assert "\n".join(screen).count("\n".join(heading)) == count
        assert screen[:3] == heading[:3]
    full = show(film_club, "routing[2].weights", lines=22, all_=True)
    assert full[-1 - len(heading) : -1] == heading


def test_a_higher_window_has_more_rows_and_a_wider_one_rows_side_by_side(film_club):
    def count_rows(columns, lines):
        titles = film_club.trace.labels["behaviour"]
        text = "\n".join(show(film_club, "routing[2].weights", columns, lines))
        return sum(f" {title}" in text for title in titles)

    counts = [count_rows(120, lines) for lines in (16, 20, 24, 40)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 14
    assert count_rows(200, 16) > count_rows(120, 16)
    lines = show(film_club, "routing[2].weights", 200, 16)
    line = next(x for x in lines if re.match(" +1 The Sheriff", x))
    assert len(re.findall(r"\d+ [A-Z]", line)) == 2


def test_further_columns_are_printed_below_if_the_window_is_high(film_club):
    step_index = find_step(film_club.trace, "routing[2].sums")
    assert "more columns" in "\n".join(show(film_club, "routing[2].sums", 80, 22))
    screen = show(film_club, "routing[2].sums", 80, 38)
    assert "more columns" not in "\n".join(screen)
    step = film_club.trace.steps[step_index]
    shapes = {tensor.name: tensor.values.shape for tensor in step.outputs}
    texts = parse_screen(screen, shapes)["z[2]"]
    values = film_club.trace.values["z[2]"]
    assert all(is_rounded(texts[index], values[index]) for index in np.ndindex(values.shape))


def test_padding_and_parameters_are_folded_and_named(film_club):
    trace = film_club.trace
    padded = np.flatnonzero(~trace.values["mask"])
    assert len(padded) == 6
    screen = show(film_club, "routing[2].weights", 120, 38)
    assert "   ...  (6 rows of padding, `all` to show)" in screen
    assert any(", 6 of padding, `all` to show)" in x for x in show(film_club, "routing[2].weights"))
    for i in padded:
        title = trace.labels["behaviour"][i]
        assert not [line for line in screen if re.match(rf" +{i + 1} {title}", line)]
    for step, folded in (("routing.votes", "S"), ("layers[1]", "W[1]")):
        text = "\n".join(show(film_club, step, 120, 48))
        assert re.search(rf"^ folded  .*{re.escape(folded)}.*`all` to show", text, re.MULTILINE)
        assert f"\n {folded}  (" not in text
        assert f"\n {folded}  (" in "\n".join(show(film_club, step, 120, 48, all_=True))


def test_a_block_after_a_weight_has_the_size_of_the_weight(film_club):
    weights = film_club.trace.values["w[2]"]
    screen = show(film_club, "routing[2].weights", 120, 38)
    for i in np.flatnonzero(film_club.trace.values["mask"]):
        row = next(x for x in screen if re.match(rf" +{i + 1} [A-Z]", x))
        cells = re.findall(r" (\d\.\d+) ([░▒▓█]{2})", row)
        assert len(cells) == 3  # the fourth interest is not active: a zero without a block
        for (text, block), weight in zip(cells, weights[i], strict=False):
            assert is_rounded(text, weight)
            assert block == BLOCKS[1 + min(int(weight * 4), 3)]
    assert len({x for line in screen for x in re.findall("[░▒▓█]{2}", line)}) >= 4
    plain = [x.text for x in format_screen(film_club.trace, 12, 120, False, Window(38, False))]
    assert not re.search("[░▒▓█]", "".join(plain))
    agreements = show(film_club, "routing[2].agreement", 120, 38)
    assert not re.search("[░▒▓█]", "".join(agreements))


def test_blocks_need_no_colour_and_a_pipe_has_neither(film_club, monkeypatch):
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    view = View(step="routing[2].weights")
    terminal, pipe = Terminal(), io.StringIO()
    print_view(*film_club, view, stdout=terminal, columns=80)
    print_view(*film_club, view, stdout=pipe, columns=80)
    assert "▓▓" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
    assert not re.search("[░▒▓█\x1b]", pipe.getvalue())
    raw = io.BytesIO()
    ascii_terminal = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(ascii_terminal, "isatty", lambda: True)
    print_view(*film_club, view, stdout=ascii_terminal, columns=80)
    ascii_terminal.flush()
    assert "??" not in raw.getvalue().decode("ascii")


def find_first_question(trace):
    return next(i for i, step in enumerate(trace.steps) if step.question)


def test_next_asks_before_the_numbers_and_enter_or_next_skips(film_club, monkeypatch):
    target = find_first_question(film_club.trace)
    step, question = film_club.trace.steps[target], film_club.trace.steps[target].question
    for skip in ("", "n"):
        outputs = run_typed(film_club, monkeypatch, f"g {target}", "n", skip)
        asked, shown = outputs[2], outputs[3]
        assert question.text.split("?")[0][:40] in " ".join(asked.split())
        assert "Your answer, 1 to" in asked
        assert f" {step.outputs[-1].name}  (" not in asked
        assert f" {target + 1}/" in shown
        assert "Your answer" not in shown
        assert step.outputs[-1].name in shown


def test_a_question_mark_repeats_the_question_and_off_ends_the_questions(film_club, monkeypatch):
    target = find_first_question(film_club.trace)
    outputs = run_typed(film_club, monkeypatch, f"g {target}", "n", "?", str(1))
    assert outputs[3] == outputs[2]
    assert re.match(r"\s+(\x1b\[[\d;]+m)? ?(Right|Wrong): ", outputs[4])
    outputs = run_typed(film_club, monkeypatch, "? off", f"g {target}", "n", "? on", "p", "n")
    assert "Questions before a step are off." in outputs[1]
    assert "Your answer" not in outputs[3]
    assert "Your answer" in outputs[6]


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_no_output_of_a_walk_scrolls_the_heading_away(columns, lines, film_club, monkeypatch):
    count = len(film_club.trace.steps)
    outputs = run_typed(film_club, monkeypatch, *["n"] * 2 * count, columns=columns, lines=lines)
    shown = set()
    for output in outputs:
        assert output.count("\n") < lines
        shown |= set(re.findall(r"^(?:\x1b\[[\d;]+m)? (\d+)/", output, re.MULTILINE))
    assert shown == {str(i + 1) for i in range(count)}
