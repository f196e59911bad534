"""mindref train --split none, --steps-of and --start-from; --keep-unused-items."""

import json
import re

import pytest

from mindref.data.readers import read_log
from tests.runs import kept_report, options

SMALL = options(backend="numpy")


@pytest.mark.rules("model-R51", "model-R52")
def test_a_training_on_everything_says_that_nothing_was_evaluated(cli, shop, tmp_path):
    run = tmp_path / "run"
    result = cli.succeed("train", "--data", shop, "--split", "none", "--out", run, *SMALL)
    count = len(read_log(shop).interactions.values)
    lines = result.out.splitlines()
    assert lines[0] == f"not evaluated: all {count} interactions are training data (--split none)"
    assert lines[1] == f"run: {run} (ended at step 7: the last step)"
    assert lines[2].startswith(f"next: mindref recall {run} --user=customer-")
    assert "validation" not in result.err
    assert cli.json("train", "--resume", run) == {"run": str(run), **kept_report(run)}
    assert cli("recall", run, "--all-users", "--top", 3).code == 0
    message = cli.error_line("evaluate", run)
    assert f"{run}: split: expected leave_last_out or paper or comirec or global_time or" in message
    assert "; give a later log with --data, and the --split of that log" in message


@pytest.mark.rules("model-R52")
def test_a_fitted_model_on_everything_has_no_metric(cli, shop, tmp_path):
    command = ["train", "--data", shop, "--split", "none", "--model", "popularity"]
    result = cli.succeed(*command, "--out", tmp_path / "run")
    assert result.err.splitlines()[-1] == "fitted"
    assert result.out.startswith("not evaluated: all ")


@pytest.mark.rules("model-R53")
def test_steps_of_a_run_train_on_its_log_with_its_settings(cli, shop, run, tmp_path):
    best = json.loads((run / "report.json").read_text())["best_step"]
    new = tmp_path / "new"
    result = cli.succeed("train", "--split", "none", "--steps-of", run, "--out", new)
    assert f"step {best}/{best}" in result.err
    old, facts = (json.loads((x / "config.json").read_text()) for x in (run, new))
    assert facts["source"] == old["source"]
    assert facts["protocol"] == "none"
    changed = {k for k, x in facts["settings"].items() if x != old["settings"][k]}
    assert changed <= {"steps"}


@pytest.mark.rules("model-R55", "model-R56", "model-R59")
def test_a_training_starts_from_an_earlier_run(cli, run, tmp_path):
    result = cli.succeed("train", "--start-from", run, "--steps", 4, "--out", tmp_path / "new")
    match = re.search(
        r"^start from (.*), step \d+: (\d+) items keep their .*, (\d+) items", result.err, re.M
    )
    assert match
    facts = json.loads((tmp_path / "new" / "config.json").read_text())
    start = facts["start_from"]
    assert match.groups() == (str(run), str(start["items"]), str(start["new_items"]))
    old = json.loads((run / "config.json").read_text())
    assert facts["settings"] == {**old["settings"], "steps": 4}
