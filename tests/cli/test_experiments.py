"""mindref compare, ablate and tune: early checks, output, kill, stop and resume."""

import json
import re
import shlex

import pytest

from mindref.experiments import arms, studies
from mindref.experiments.results import AblationResult, ComparisonResult
from mindref.models.registry import RECALL_FAMILIES
from mindref.presets import PRESETS
from mindref.run import lock
from mindref.run.stored_json import check_json
from tests.runs import call, interrupt, messages, options, read_until, start

FEW = ["--models", "mind,mind-1", "--seeds", "2", "--trials", "2"]


def words(shop, out, *extra, **changes):
    return ["compare", str(shop), *FEW, "--out", str(out), *options(**changes), *extra]


@pytest.fixture(scope="module")
def finished_comparison(shop, tmp_path_factory):
    """An uninterrupted comparison: its folder, and the result on standard output."""
    folder = tmp_path_factory.mktemp("compared")
    done = call(*words(shop, "out", "--json", "--quiet"), cwd=folder)
    assert (done.returncode, messages(done.stderr)) == (0, "")
    return folder / "out", json.loads(done.stdout)


@pytest.mark.slow
def test_json_follows_the_schema_and_is_stored_with_the_runs(finished_comparison, shop):
    out, found = finished_comparison
    check_json(found, ComparisonResult)
    assert json.loads((out / "compare.json").read_text()) == found
    asked = shlex.split(found["command"])
    assert asked == ["mindref", *words(shop, "out", "--json", "--quiet")]
    assert [arm["label"] for arm in found["arms"]] == ["mind", "mind-1"]
    assert found["opponent"] == "mind"
    assert found["arms"][1]["settings"]["interests"] == 1
    assert all(len(arm["trials"]) == 2 for arm in found["arms"])


@pytest.mark.rules("model-R24")
@pytest.mark.slow
def test_the_preset_paper_uses_the_split_of_the_paper_for_every_model(cli, shop, tmp_path):
    given = ["--models", "item_knn,popularity", "--seeds", "1", "--trials", "1", "--quiet"]
    for further, split in (((), "paper"), (("--split", "comirec"), "comirec")):
        arguments = ("--preset", "paper", *given, "--out", tmp_path / split, *further)
        assert cli.json("compare", shop, *arguments)["data"]["split"] == split


@pytest.mark.slow
def test_tables_and_progress_are_printed(finished_comparison, cli, shop, monkeypatch):
    out, _ = finished_comparison
    monkeypatch.setattr(lock, "SYSTEM", None)
    (leftover := out / ".compare.json.0123456789ab.tmp").touch()
    result = cli.succeed(*words(shop, out, "--opponent", "mind-1"))
    assert "read 60 users" in result.err
    assert "run 6 of 6: mind-1, trial" in result.err
    assert result.err.count("already trained") == 6
    for text in ("HR@100", "compared with mind-1, user by user", "tuning", "2 trials per model"):
        assert text in result.out
    assert leftover.exists(), "only the holder of the lock removes temporary files"
    (out / "compare.json").unlink()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ("--models wals,random --backend nobody", "wals, trial 0, seed 0: backend"),
        ("--item-features brand", "brand"),
    ],
)
def test_settings_are_checked_before_training(cli, shop, tmp_path, changes, error):
    assert error in cli.error(*words(shop, tmp_path / "out", *changes.split()))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_help_names_every_model_and_preset(cli):
    result = " ".join(cli("compare", "--help").out.split())
    for name in (*RECALL_FAMILIES, *arms.read_models()["models"]):
        assert re.search(rf"[ |\[(]{name}[ ,|\].]", result), name
    assert all(f"{name} (" in result for name in PRESETS)


@pytest.mark.rules("experiments-R14")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.slow
def test_ctrl_c_prints_the_command_that_resumes(shop, tmp_path, times):
    command = words(shop, "out", steps=4000, evaluate_every=40)
    with start(*command, cwd=tmp_path) as child:
        last = interrupt(child, "step 40/", times).splitlines()[-1]
    assert last.startswith("Stopped; 0 of 6 runs are done, and all is saved. Resume with: mindref ")
    assert shlex.split(last.split("Resume with: mindref ")[1]) == command
    with start(*command, cwd=tmp_path) as child:  # it goes on where it was
        result = read_until(child, "run 1 of 6")
        child.kill()
        child.communicate()
    if times == 1:
        state = json.loads(next((tmp_path / "out").rglob("state.json")).read_text())
        assert state["step"] >= 40
        assert f"resumed at step {state['step']}" in result


def test_the_studies_are_listed(cli):
    result = cli.succeed("ablate", "--list")
    for name in studies.read_studies():
        assert f" {name} " in result.out
    assert "inf, 0, 0.5, 1, 2, 4" in result.out
    found = cli.json("ablate", "--list", "--studies", "sigma")
    assert [study["name"] for study in found] == ["sigma"]
    assert found[0]["arms"]["5"] == {"sigma": 5.0}


def test_an_ablation_prints_a_table_and_writes_a_result(cli, shop, tmp_path):
    out = tmp_path / "out"
    arguments = ["ablate", shop, "--studies", "last_relu,score", "--seeds", "2", "--out", out]
    result = cli.succeed(*arguments, *options(steps=4))
    assert "run 6 of 6: score sum, seed 1" in result.err
    for text in ("ablation: 58 test cases", "verdict", "rectified", "base"):
        assert text in result.out
    found = json.loads((out / "ablate.json").read_text())
    check_json(found, AblationResult)
    again = cli(*arguments, "--json", *options(steps=4))
    assert again.code == 0
    assert again.err.count("already trained") == 6
    repeated = json.loads(again.out)
    assert repeated["command"].startswith("mindref ablate ")
    assert {**repeated, "command": ""} == {**found, "command": ""}, "nothing was done"


@pytest.mark.rules("experiments-R23")
def test_trials_are_added_to_a_finished_table(cli, shop, tmp_path):
    words = ("tune", shop, "--out", tmp_path / "t", *options())
    first = cli.succeed(*words, "--trials", "2")
    assert "run 2 of 2: mind, trial 1" in first.err
    for text in ("as given", "est trial on the test cases", "mindref train --data"):
        assert text in first.out
    assert f"\nbest settings: mindref train --data {shop} --preset mind " in first.out
    result = cli.json(*words, "--trials", "3")
    assert len(result["trials"]) == 3
    again = cli.succeed(*words, "--trials", "3")
    assert again.err.count("already trained") == 3
