"""mindref study: errors of usage, and suggested commands."""

import subprocess
import sys

import pytest

from mindref.study.models.user_rules import RULES


def test_the_help_lists_the_user_rules(cli):
    text = " ".join(cli("study", "--help").out.split()).replace("- ", "-")
    listed = text.partition("User to inspect:")[2].partition("a user id of the log")[0]
    by_name = listed.replace(",", "").replace("(the next item is not recommended)", "").split()
    assert set(by_name) - {"or"} == set(RULES)


@pytest.mark.parametrize("option", ["--html", "--json", "--case-study"])
def test_a_missing_folder_is_reported_before_computation(cli, tmp_path, option, monkeypatch):
    import mindref.study.page_users  # noqa: F401  what is imported under the patch would keep it

    monkeypatch.setattr("mindref.study.traced_user.open_traced_user", None)
    monkeypatch.setattr("mindref.study.models.study_model.open_study_model", None)
    assert option + ":" in cli.error("study", option, tmp_path / "none" / "out.json")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--all"], "--all"),
        (["--at", "1", "--baseline", "runs/001"], "--baseline"),
        (["--data", "log.csv", "--at", "1"], "--data"),
        (["--exercise", "squash", "--at", "1"], "--exercise"),
        (["--user", "wrong", "--exercises"], "--exercises"),
    ],
)
def test_an_option_without_effect_is_an_error(cli, arguments, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wrong + ":" in cli.error("study", *arguments)
    assert not [*tmp_path.iterdir()]


def test_suggestions_keep_the_user_and_the_run(cli, trained_run):
    result = cli("study", trained_run, "--user", "longest", "--at", "ids")
    commands = [line.strip() for line in result.out.splitlines() if "mindref study" in line]
    again = [arguments for arguments in commands if "--exercise" not in arguments]
    assert again
    for line in again:
        assert "--user longest --at ids" in line or line.endswith("…"), line
        assert line.startswith(f"mindref study {trained_run}"[:40]), line


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
@pytest.mark.slow(every=3)
def test_a_closed_stream_is_not_an_error(closed):
    arguments = ["bash", "-c", f'"$@" {closed}', "-", sys.executable, "-m", "mindref", "study"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, input="q\n")
    assert (done.returncode, done.stderr) == (0, "")
