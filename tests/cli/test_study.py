"""What `mindref study` says to wrong use, and where it leads back to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mindref.study.worlds.rules import RULES
from tests.cli.conftest import Cli


def test_the_help_names_the_rules_that_there_are(cli: Cli) -> None:
    text = " ".join(cli("study", "--help").out.split()).replace("- ", "-")
    listed = text.partition("Whom to watch:")[2].partition("an id of the log")[0]
    named = listed.replace(",", "").replace("(one whose next item is not found)", "").split()
    assert set(named) - {"or"} == set(RULES)


@pytest.mark.parametrize("option", ["--html", "--json", "--case-study"])
def test_a_folder_that_is_not_there_is_said_before_anything_is_computed(
    cli: Cli, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mindref.study.leaves  # noqa: F401  what is imported under the patch would keep it

    monkeypatch.setattr("mindref.study.subject.open_subject", None)
    monkeypatch.setattr("mindref.study.worlds.world.open_world", None)
    said = cli("study", option, tmp_path / "none" / "out.json")
    assert said.code == 2
    assert option + ":" in said.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--all"], "--all"),
        (["--at", "1", "--baseline", "runs/001"], "--baseline"),
        (["--data", "log.csv", "--at", "1"], "--data"),
        (["--exercise", "squash", "--at", "1"], "--exercise"),
        (["--user", "wrong", "--exercises"], "--exercises"),
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(
    cli: Cli, words: list[str], wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli("study", *words)
    assert (said.code, said.out) == (2, "")
    assert wrong + ":" in said.err
    assert not [*tmp_path.iterdir()]


def test_what_to_try_next_is_about_the_same_user_of_the_same_run(cli: Cli, made: Path) -> None:
    said = cli("study", made, "--user", "longest", "--at", "ids")
    commands = [line.strip() for line in said.out.splitlines() if "mindref study" in line]
    again = [words for words in commands if "--exercise" not in words]
    assert again
    for line in again:
        assert "--user longest --at ids" in line or line.endswith("…"), line
        assert line.startswith(f"mindref study {made}"[:40]), line


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
@pytest.mark.slow(every=3)
def test_a_stream_that_was_closed_is_no_error(closed: str) -> None:
    words = ["bash", "-c", f'"$@" {closed}', "-", sys.executable, "-m", "mindref", "study"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, input="q\n")
    assert (done.returncode, done.stderr) == (0, "")
