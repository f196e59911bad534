"""The stepper: a place in the trace, and what is answered to each command. It reads and writes
nothing itself: a text goes in, lines come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindref.data.shown import shown
from mindref.errors import ConfigError, MindrefError, say
from mindref.study.terminal import words
from mindref.study.terminal.ask import asking, chosen, judged
from mindref.study.terminal.bench import leads as variant_leads
from mindref.study.terminal.bench import variant_list, variant_view
from mindref.study.terminal.cells import cell
from mindref.study.terminal.compare import since_round
from mindref.study.terminal.finding import gradient_of, step_at
from mindref.study.terminal.lines import Line, fitted, prose
from mindref.study.terminal.screen import screen
from mindref.study.terminal.terms import explained, leads
from mindref.study.terminal.tries import Suggestions, farewell, tries
from mindref.study.trace import Trace

View = Callable[[bool], list[Line]]  # of whether all is wanted


class Stepper:
    """Where a learner is; `answer` moves and shows."""

    def __init__(
        self,
        trace: Trace,
        given: Any = None,
        columns: int = 80,
        at: int = 0,
        start: str = "mindref study",
    ) -> None:
        self.trace, self.given, self.columns, self.at = trace, given, columns, at
        self.start = start  # the command that opens this user again
        self.ended = False
        self.asked: int | None = None  # the step whose question waits for an answer
        self.came_from: int | None = None  # where `b` goes back to
        self.view: View = self.screen
        self.commands = {
            "n": self.next,
            "p": self.back,
            "g": self.goto,
            "x": self.explain,
            "d": self.diff,
            "v": self.variant,
            "b": self.backward,
            "?": self.predict,
            "all": self.all,
            "l": self.steps,
            "h": self.help,
            "q": self.quit,
        }

    def answer(self, text: str) -> list[Line]:
        """Return what is shown for a command, or for the reply to a question.

        An error of the user's is shown as a line that says what to do; the place stays.
        """
        try:
            if self.asked is not None and words.command(text) is None:
                return self.reply(text)
            self.asked = None
            lines: list[Line] = []
            for name, rest in words.commands(text):
                if not self.ended:
                    lines += ([Line("")] if lines else []) + self.commands[name](rest)
            return lines
        except MindrefError as error:
            return fitted(prose(str(error), self.columns, "bad"), self.columns)

    def show(self, view: View) -> list[Line]:
        """Return a view, and keep it for `all`."""
        self.view = view
        return view(False)

    def screen(self, all_: bool = False) -> list[Line]:
        """Return the screen of the step."""
        return screen(self.trace, self.at, self.columns, all_)

    def move(self, to: int) -> list[Line]:
        """Go to a step and show it."""
        self.at, self.asked = to, None
        return self.show(self.screen)

    def with_tries(self, lines: list[Line], first: Suggestions = ()) -> list[Line]:
        """Return lines and three things to try next."""
        return [*lines, Line(""), *tries(self.trace, self.at, self.columns, first)]

    def next(self, rest: str) -> list[Line]:
        """Go one step on."""
        if self.at == len(self.trace.steps) - 1:
            return self.with_tries(prose("This is the last step.", self.columns))
        return self.move(self.at + 1)

    def back(self, rest: str) -> list[Line]:
        """Go one step back."""
        if self.at == 0:
            return self.with_tries(prose("This is the first step.", self.columns))
        return self.move(self.at - 1)

    def goto(self, rest: str) -> list[Line]:
        """Go to a step by number, id or what it makes."""
        if not rest:
            step = self.trace.steps[self.at]
            here = f"You are at step {self.at + 1}, {step.id}. Say where to: g 5, or g {step.id}"
            return self.with_tries(prose(f"{here}; `l` lists the steps.", self.columns))
        return self.move(step_at(self.trace, rest))

    def explain(self, rest: str) -> list[Line]:
        """Show where a cell comes from."""
        text, in_order = words.option(rest, "in order")
        found = cell(self.trace, self.at, text)

        def view(all_: bool) -> list[Line]:
            shown = explained(self.trace, self.given, found, self.columns, all_, in_order)
            return self.with_tries(shown, leads(self.trace, found))

        return self.show(view)

    def diff(self, rest: str) -> list[Line]:
        """Show what changed since the round before, or under a variant."""
        if rest:
            return self.variant(rest)
        return self.show(
            lambda all_: self.with_tries(since_round(self.trace, self.at, self.columns, all_))
        )

    def variant(self, rest: str) -> list[Line]:
        """List the variants, or run one."""
        if not rest:
            return self.with_tries(variant_list(self.trace, self.at, self.columns))
        name = rest.strip()

        def view(all_: bool) -> list[Line]:
            shown = variant_view(self.trace, self.given, name, self.columns, all_)
            return self.with_tries(shown, variant_leads(self.trace, name))

        return self.show(view)

    def backward(self, rest: str) -> list[Line]:
        """Go to the gradient of what is on the screen, or from a gradient to what it belongs to."""
        found = gradient_of(self.trace, self.at)
        if found is None:
            text = f"The loss has no gradient by what {self.trace.steps[self.at].id} makes."
            return self.with_tries(prose(text, self.columns))
        return self.move(found)

    def predict(self, rest: str) -> list[Line]:
        """Ask the question of the next step, or of a named one, before it is shown."""
        steps = self.trace.steps
        to = step_at(self.trace, rest) if rest else self.at + 1
        question = steps[to].question if to < len(steps) else None
        if question is not None:
            self.at = self.asked = to
            return asking(self.trace, to, question, self.columns)
        later = [i for i in range(to, len(steps)) if steps[i].question is not None]
        where = steps[to].id if to < len(steps) else "the end"
        text = f"There is no question before {where}."
        if later:
            text += f" The next one: ? {steps[later[0]].id}"
        return self.with_tries(prose(text, self.columns))

    def reply(self, text: str) -> list[Line]:
        """Judge the reply to the question and show the step; an empty reply shows it at once."""
        question = self.trace.steps[self.at].question
        if question is None or not text.strip():
            return self.move(self.at)
        choice = chosen(question, text)
        if choice is None:
            last = len(question.choices)
            raise ConfigError(
                say("answer", f"a number from 1 to {last}, or Enter", shown(text.strip()))
            )
        return [*judged(question, choice, self.columns), Line(""), *self.move(self.at)]

    def all(self, rest: str) -> list[Line]:
        """Show the last view with nothing left out."""
        return self.view(True)

    def steps(self, rest: str) -> list[Line]:
        """List the steps."""
        return self.with_tries(words.step_list(self.trace, self.at, self.columns))

    def help(self, rest: str) -> list[Line]:
        """Say what the commands do."""
        return self.with_tries(words.help_lines(self.columns))

    def quit(self, rest: str = "") -> list[Line]:
        """End, with three things to try next."""
        self.ended = True
        return farewell(self.trace, self.at, self.columns, self.start)
