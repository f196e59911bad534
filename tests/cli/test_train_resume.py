"""mindref train: the folder of a run, and a run that is taken up again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindref.run.files import sealed
from tests.cli.conftest import Cli
from tests.runs import call, content, kept_report, options


def test_the_next_free_run_is_taken(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "007").mkdir(parents=True)
    few = options(steps=1)
    done = call("train", "--data", shop, "--quiet", "--json", *few, cwd=tmp_path)
    assert json.loads(done.stdout)["run"] == "runs/008"
    assert (tmp_path / "runs" / "008" / "config.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "9"],
        ["--seed", "0"],
        ["--split", "paper"],
        ["--split", "leave_last_out"],
        ["--exclude-seen"],
        ["--include-seen"],
        ["--out", "elsewhere"],
        ["--preset", "paper"],
        ["--config", "settings.toml"],
        ["--no-last-relu"],
        ["--hidden", "8"],
        ["--format", "recbole"],
        ["--user", "u"],
        ["--keep-duplicates"],
    ],
)
def test_resuming_refuses_other_settings(cli: Cli, run: Path, words: list[str]) -> None:
    before = content(run)
    said = cli("train", "--resume", run, *words)
    assert said.code == 2
    assert "--resume: expected no other settings, got " in said.err
    assert "they are those of the run" in said.err
    assert content(run) == before


def test_resuming_a_finished_run_prints_its_report_again(cli: Cli, run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    said = cli("train", "--resume", run, "--quiet", "--json")
    assert said.code == 0
    report = kept_report(run)
    assert json.loads(said.out) == {"run": str(run), **report}
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resuming_what_is_no_run_is_one_line(cli: Cli, tmp_path: Path) -> None:
    said = cli("train", "--resume", tmp_path)
    assert said.code == 2
    assert f"{tmp_path}: expected a run directory, got no config.json in it" in said.err


def test_resuming_with_the_log_elsewhere(cli: Cli, run: Path, tmp_path: Path) -> None:
    words = json.loads((run / "config.json").read_text())
    place = Path(words["source"]["place"])
    words["source"]["place"] = str(tmp_path / "gone.inter")
    (run / "config.json").write_text(json.dumps(sealed(words)))
    assert "nothing there" in cli("train", "--resume", run).err
    assert cli("train", "--resume", run, "--data", place, "--quiet").code == 0


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    said = cli("train", "--out", tmp_path, "--quiet", *options())
    assert said.code == 2
    assert "expected a new or empty folder, got 1 others, such as 'thesis.txt'" in said.err
    assert [x.name for x in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_kill_left_before_the_configuration_is_no_hindrance(
    tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "items.tsv").write_text("half")
    (tmp_path / ".config.json.0123456789ab.tmp").write_text("{")
    assert cli("train", "--out", tmp_path, "--quiet", *options()).code == 0
