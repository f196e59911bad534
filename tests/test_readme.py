"""The front page keeps its word: its commands, its snippets, and a place for every command."""

import re
import subprocess
from pathlib import Path

import pytest

from mindref.cli import COMMANDS, mindref_group
from mindref.config import Config
from tests.assertions import nonempty

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
GUIDE = REPOSITORY / ".site" / "pages" / "guide"
PAGES = [REPOSITORY / "README.md", *sorted(GUIDE.glob("*.md"))]
SNIPPETS = re.findall(r"^```python run\n(.*?)^```$", README, re.M | re.S)


def marked(name):
    """Return the command line below a mark, exactly as .ci/run takes it: two lines further."""
    lines = README.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line == f"<!-- command: {name} -->"]
    assert lines[at + 1] == "```sh", "the fence stands right below the mark"
    assert lines[at + 3] == "```", "the command is one line"
    return lines[at + 2]


def test_the_two_commands_are_marked_and_no_others():
    assert re.findall(r"<!-- command: (.*?) -->", README) == ["run", "test"]


def test_the_first_command_installs_and_trains_and_the_second_installs_and_tests():
    run, test = marked("run"), marked("test")
    for command in (run, test):
        assert "pip install" in command
        assert command.startswith("python3 -m venv .venv && ")
    assert run.endswith(" .venv/bin/mindref train")
    assert ".venv/bin/python -m pytest" in test
    assert "[test]" in test


def test_the_check_of_everything_takes_the_commands_from_here():
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"sed -n '(.*?)' README.md", script)
    command = ["sed", "-n", pattern, "README.md"]
    taken = subprocess.check_output(command, cwd=REPOSITORY, text=True)
    assert taken.splitlines() == [marked("run"), marked("test")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_place(name):
    assert f"mindref {name}" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_and_option_that_is_shown_exists(page):
    known, text = {}, page.read_text(encoding="utf-8")
    for name in nonempty(COMMANDS):
        command = mindref_group.get_command(None, name)  # the context is unused
        known[name] = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            for name, rest in re.findall(r"\bmindref (\w+)([^|;&#]*)", line):
                assert name in known, f"no such command: {line}"
                for option in re.findall(r"(?<!\S)(--[\w-]+)", rest):
                    assert option in known[name] | {"--help"}, f"no such option: {line}"


def test_the_snippets_run_one_after_the_other(tmp_path, monkeypatch):
    """As a reader would type them, in one session and folder, but with two steps of training."""
    of = Config.of

    def brief(preset="mind", changes=None):
        return of(preset, {**(changes or {}), "steps": 2, "batch": 32, "negatives": 32})

    monkeypatch.setattr(Config, "of", brief)
    monkeypatch.chdir(tmp_path)
    session = {"__name__": "__main__"}
    for snippet in nonempty(SNIPPETS):
        exec(compile(snippet, "README.md", "exec"), session)


def test_links_lead_to_files_that_exist():
    for target in nonempty(re.findall(r"\]\((?!https?:|#)([^)#]+)", README)):
        assert (REPOSITORY / target).exists(), target
