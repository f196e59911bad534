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
