"""mindref train: run directories, and resumed runs."""

import json

import pytest

from tests.runs import call, content, kept_report, lose_log, options


def test_the_next_free_run_directory_is_used(shop, tmp_path):
    (tmp_path / "runs" / "007").mkdir(parents=True)
    few = options(steps=1)
    done = call("train", "--data", shop, "--quiet", "--json", *few, cwd=tmp_path)
    assert json.loads(done.stdout)["run"] == "runs/008"
    assert (tmp_path / "runs" / "008" / "config.json").exists()


@pytest.mark.parametrize(
    "arguments",
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
def test_resume_rejects_other_settings(cli, run, arguments):
    before = content(run)
    error_text = cli.error("train", "--resume", run, *arguments)
    assert "--resume: expected no other settings, got " in error_text
    assert "a run keeps its settings" in error_text
    assert content(run) == before


def test_resume_of_a_finished_run_prints_its_report(cli, run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = cli("train", "--resume", run, "--quiet", "--json")
    assert result.code == 0
    report = kept_report(run)
    assert json.loads(result.out) == {"run": str(run), **report}
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resume_of_a_folder_that_is_not_a_run_is_one_line(cli, tmp_path):
    assert f"{tmp_path}: expected a run directory, got no config.json in it" in cli.error(
        "train", "--resume", tmp_path
    )


def test_resume_with_a_moved_log(cli, run):
    log = lose_log(run)
    assert "nothing there" in cli("train", "--resume", run).err
    assert cli("train", "--resume", run, "--data", log, "--quiet").code == 0


def test_a_folder_with_other_files_is_rejected(tmp_path, cli):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "expected a new or empty folder, got 1 others, such as 'thesis.txt'" in cli.error(
        "train", "--out", tmp_path, "--quiet", *options()
    )
    assert [x.name for x in tmp_path.iterdir()] == ["thesis.txt"]


def test_files_left_by_an_early_kill_do_not_block_a_new_run(tmp_path, cli):
    (tmp_path / "items.tsv").write_text("half")
    (tmp_path / ".config.json.0123456789ab.tmp").write_text("{")
    assert cli("train", "--out", tmp_path, "--quiet", *options()).code == 0
