"""The stepper: the current step, and the lines that answer each command.

The stepper reads and prints nothing itself; `session` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindref.data.quoting import quote_text
from mindref.errors import ConfigError, MindrefError, say
from mindref.study.terminal import commands
from mindref.study.terminal.commands import Suggestions, suggest_commands, suggest_shell_commands
from mindref.study.terminal.compare import (
    compare_iterations,
    format_variant,
    format_variant_list,
    suggest_after_variant,
)
from mindref.study.terminal.lookup import find_gradient_step, find_step, parse_cell
from mindref.study.terminal.screen import Window, format_heading, format_screen
from mindref.study.terminal.terms import format_explanation, suggest_after_cell
from mindref.study.terminal.text import Line, escape_title, fit_lines, wrap_lines
from mindref.study.trace import Question, Trace


def format_question(trace: Trace, step_index: int, question: Question, columns: int) -> list[Line]:
    """Return the heading of a step, its question and the choices, without any result."""
    lines = [*format_heading(trace, step_index, columns), Line("")]
    lines += wrap_lines(question.text, columns, "ask")
    for number, choice in enumerate(question.choices, start=1):
        lines += wrap_lines(f"{number}  {escape_title(choice)}", columns, indent=3)
    last = len(question.choices)
    prompt = f"Your answer, 1 to {last}, then Enter. Enter without a number shows the result."
    return fit_lines([*lines, *wrap_lines(prompt, columns)], columns)


def parse_choice(question: Question, reply: str) -> int | None:
    """Return the choice that a reply names, counted from 0, or None if it names none."""
    word = reply.strip().casefold()
    if word.isdecimal() and 1 <= int(word) <= len(question.choices):
        return int(word) - 1
    texts = [escape_title(choice).casefold() for choice in question.choices]
    return texts.index(word) if texts.count(word) == 1 else None


def format_feedback(question: Question, choice: int, columns: int) -> list[Line]:
    """Return whether a choice is right, the right choice, and the numbers that decide."""
    answer = f"{question.answer + 1}  {escape_title(question.choices[question.answer])}"
    because = getattr(question, "because", "")
    reason = wrap_lines(because, columns) if because else []
    if choice == question.answer:
        return [*wrap_lines(f"Right: {answer}", columns, "ok"), *reason]
    chosen = f"{choice + 1}  {escape_title(question.choices[choice])}"
    lines = wrap_lines(f"Wrong: your answer was {chosen}", columns, "bad")
    return [*lines, *wrap_lines(f"The answer is {answer}", columns, "ok"), *reason]


SWITCHES = {"off": False, "on": True}  # arguments of `?`


class Stepper:
    """The current step of a session; `answer` runs a command of `commands.HELP` by its letter."""

    def __init__(
        self,
        trace: Trace,
        inputs: Any = None,
        columns: int = 80,
        step_index: int = 0,
        start: str = "mindref study",
    ) -> None:
        self.trace, self.inputs, self.columns, self.step_index = trace, inputs, columns, step_index
        self.start = start  # the command that opens this user again
        self.lines, self.shaded = 0, False  # the window; 0 lines: a screen has any length
        self.asks = False  # `n` asks the question of a step before its numbers
        self.ended = False
        self.question_index: int | None = None  # the step whose question awaits a reply
        self.replied: set[int] = set()  # the steps whose question had a reply
        self.view: Callable[[bool], list[Line]] = self.screen  # the argument: print in full
        self.commands: dict[str, Callable[[str], list[Line]]] = {
            "n": self.run_next,
            "p": self.run_back,
            "g": self.run_goto,
            "x": self.run_explain,
            "d": self.run_diff,
            "v": self.run_variant,
            "b": self.run_backward,
            "?": self.run_predict,
            "all": self.run_all,
            "l": self.run_list,
            "h": self.run_help,
            "q": self.run_quit,
        }

    def answer(self, text: str) -> list[Line]:
        """Return the lines for a command, or for the reply to a question.

        A user error returns a line that says what to do; the current step stays the same. A
        question stays pending until a reply, a move, or a command that prints the screen.
        """
        try:
            pending = self.question_index is not None
            command = commands.parse_command(text)
            if pending and (command is None or (self.asks and command == ("n", ""))):
                return self.reply("" if command else text)
            if pending and command == ("?", ""):
                return self.ask_question(self.step_index)
            lines: list[Line] = []
            for letter, argument in commands.parse_commands(text):
                if not self.ended:
                    lines += ([Line("")] if lines else []) + self.commands[letter](argument)
            return lines
        except MindrefError as error:
            return fit_lines(wrap_lines(str(error), self.columns, "bad"), self.columns)

    def show(self, make_lines: Callable[[bool], list[Line]], first: Suggestions = ()) -> list[Line]:
        """Return the lines of a view with suggested commands, and store the view for `all`."""
        self.view = lambda all_: self.add_suggestions(make_lines(all_), first)
        return self.view(False)

    def screen(self, all_: bool = False, used: int = 0) -> list[Line]:
        """Return the screen of the current step; used: lines of the window above it."""
        lines = max(self.lines - used, 1) if self.lines else 0
        window = Window(lines, self.shaded)
        return format_screen(self.trace, self.step_index, self.columns, all_, window)

    def move_to(self, step_index: int, used: int = 0) -> list[Line]:
        """Go to a step and return its screen."""
        self.step_index, self.question_index, self.view = step_index, None, self.screen
        return self.screen(used=used)

    def add_suggestions(self, lines: list[Line], first: Suggestions = ()) -> list[Line]:
        """Return lines followed by three suggested commands."""
        suggestions = suggest_commands(self.trace, self.step_index, self.columns, first)
        return [*lines, Line(""), *suggestions]

    def add_suggestions_to(self, text: str) -> list[Line]:
        """Return a text as lines followed by three suggested commands."""
        return self.add_suggestions(wrap_lines(text, self.columns))

    def run_next(self, argument: str) -> list[Line]:
        """Go to the next step."""
        if self.step_index == len(self.trace.steps) - 1:
            return self.add_suggestions_to("This is the last step.")
        if self.asks and self.trace.steps[self.step_index + 1].question is not None:
            return self.ask_question(self.step_index + 1)
        return self.move_to(self.step_index + 1)

    def run_back(self, argument: str) -> list[Line]:
        """Go to the previous step."""
        if self.step_index == 0:
            return self.add_suggestions_to("This is the first step.")
        return self.move_to(self.step_index - 1)

    def run_goto(self, argument: str) -> list[Line]:
        """Go to a step by number, id or tensor."""
        if not argument:
            step = self.trace.steps[self.step_index]
            text = f"You are at step {self.step_index + 1}, {step.id}."
            text += f" Type a step: g 5, or g {step.id}; `l` lists the steps."
            return self.add_suggestions_to(text)
        return self.move_to(find_step(self.trace, argument))

    def run_explain(self, argument: str) -> list[Line]:
        """Return the terms of a cell."""
        text, in_order = commands.split_option(argument, "in order")
        cell = parse_cell(self.trace, self.step_index, text)
        return self.show(
            lambda all_: format_explanation(self.trace, cell, self.columns, all_, in_order),
            suggest_after_cell(self.trace, cell),
        )

    def run_diff(self, argument: str) -> list[Line]:
        """Return the changes since the previous iteration, or those of a variant."""
        if argument:
            return self.run_variant(argument)
        step_index = self.step_index  # the user may move before the view is printed again
        return self.show(
            lambda all_: compare_iterations(self.trace, step_index, self.columns, all_)
        )

    def run_variant(self, argument: str) -> list[Line]:
        """Return the list of variants, or run one variant."""
        if not argument:
            lines = format_variant_list(self.trace, self.step_index, self.columns)
            return self.add_suggestions(lines)
        return self.show(
            lambda all_: format_variant(self.trace, self.inputs, argument, self.columns, all_),
            suggest_after_variant(self.trace, argument),
        )

    def run_backward(self, argument: str) -> list[Line]:
        """Go to the gradient of the current tensor, or from a gradient to its tensor."""
        gradient = find_gradient_step(self.trace, self.step_index)
        if gradient is None:
            step = self.trace.steps[self.step_index]
            text = f"The loss has no gradient with respect to the result of {step.id}."
            return self.add_suggestions_to(text)
        return self.move_to(gradient)

    def run_predict(self, argument: str) -> list[Line]:
        """Return the question of the current step, of the next step, or of a named step.

        A question of the current step that had a reply is not repeated without its name. "off" and
        "on" end and start the questions of `n`.
        """
        if argument in SWITCHES:
            self.asks = SWITCHES[argument]
            return self.add_suggestions_to(f"Questions before a step are {argument}.")
        if argument:
            return self.ask_question(find_step(self.trace, argument))
        question = self.trace.steps[self.step_index].question
        is_open = question is not None and self.step_index not in self.replied
        return self.ask_question(self.step_index + (not is_open))

    def ask_question(self, target: int) -> list[Line]:
        """Go to a step and return its question, or the id of the next step with a question."""
        steps = self.trace.steps
        question = steps[target].question if target < len(steps) else None
        if question is not None:
            self.step_index = self.question_index = target
            return format_question(self.trace, target, question, self.columns)
        later = [i for i in range(target, len(steps)) if steps[i].question is not None]
        end = steps[target].id if target < len(steps) else "the end"
        text = f"There is no question before {end}."
        if later:
            text += f" The next question: ? {steps[later[0]].id}"
        return self.add_suggestions_to(text)

    def reply(self, text: str) -> list[Line]:
        """Return the feedback on a reply and the screen of the step; an empty reply skips it."""
        question = self.trace.steps[self.step_index].question
        if question is None or not text.strip():
            return self.move_to(self.step_index)
        choice = parse_choice(question, text)
        if choice is None:
            expected = f"a number from 1 to {len(question.choices)}, or Enter"
            raise ConfigError(say("answer", expected, quote_text(text.strip())))
        self.replied.add(self.step_index)
        feedback = format_feedback(question, choice, self.columns)
        return [*feedback, Line(""), *self.move_to(self.step_index, len(feedback) + 1)]

    def run_all(self, argument: str) -> list[Line]:
        """Return the last view in full. A screen has the numbers, so it ends a question."""
        if self.view == self.screen:
            self.question_index = None
        return self.view(True)

    def run_list(self, argument: str) -> list[Line]:
        """Return the list of steps."""
        lines = commands.format_step_list(self.trace, self.step_index, self.columns)
        return self.add_suggestions(lines)

    def run_help(self, argument: str) -> list[Line]:
        """Return the effect of each command."""
        return self.add_suggestions(commands.format_help(self.columns))

    def run_quit(self, argument: str = "") -> list[Line]:
        """End the session, with three suggested shell commands."""
        self.ended = True
        return suggest_shell_commands(self.trace, self.step_index, self.columns, self.start)
