"""Completion in a shell, which click provides: commands, options and choices."""

import pytest
from click.shell_completion import BashComplete

from mindref.cli import COMMANDS, mindref_group


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [
        ([], "", set(COMMANDS)),
        ([], "tr", {"train"}),
        (["train"], "--preset-", set()),
        (["recall"], "--ind", {"--index"}),
        (["train", "--preset"], "b", {"best"}),
    ],
)
def test_commands_options_and_choices_are_completed(words, word, expected):
    complete = BashComplete(mindref_group, {}, "mindref", "_MINDREF_COMPLETE")
    proposals = {item.value for item in complete.get_completions(words, word)}
    assert proposals == expected
