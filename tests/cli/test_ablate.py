"""mindref ablate: the list of studies, the table, and checks before the work."""

import json

import jsonschema
import pytest

from mindref.experiments import results, studies
from tests.runs import options


def test_the_studies_are_listed(cli):
    result = cli.succeed("ablate", "--list")
    for name in studies.read_studies():
        assert f" {name} " in result.out
    assert "inf, 0, 0.5, 1, 2, 4" in result.out
    found = cli.json("ablate", "--list", "--studies", "sigma")
    assert [study["name"] for study in found] == ["sigma"]
    assert found[0]["arms"]["5"] == {"sigma": 5.0}


def test_an_ablation_prints_a_table_and_writes_a_result(cli, shop, tmp_path):
    out, file, picture = tmp_path / "out", tmp_path / "t.md", tmp_path / "p.png"
    arguments = ["ablate", shop, "--studies", "last_relu,score", "--seeds", "2", "--out", out]
    changes = ["--markdown", file, "--plot", picture]
    result = cli.succeed(*arguments, *changes, *options(steps=4))
    assert "run 6 of 6: score sum, seed 1" in result.err
    for text in ("ablation: 58 test cases", "s/1,000 steps", "verdict", "rectified", "base"):
        assert text in result.out
    assert "| score | sum |" in file.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads((out / "ablate.json").read_text())
    jsonschema.Draft202012Validator(results.result_schema()).validate(found)
    again = cli(*arguments, "--json", *options(steps=4))
    assert again.code == 0
    assert again.err.count("already trained") == 6
    repeated = json.loads(again.out)
    assert repeated["command"].startswith("mindref ablate ")
    assert {**repeated, "command": ""} == {**found, "command": ""}, "nothing was done"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ("--studies sigmoid", "--studies: expected all, or some of sigma, power"),
        ("--studies=", "--studies: expected all, or names of studies, got none; --list"),
        ("--studies sigma", "--out: expected a folder for the runs, got none"),
        ("--model wals --studies init_scale", "study init_scale, arm 0.1: init_scale: expected"),
    ],
)
def test_invalid_options_are_rejected_before_the_log_is_read(
    cli, unread_log, changes, error, tmp_path
):
    out = [] if "--out" in error else ["--out", tmp_path / "out"]
    assert error in cli.error("ablate", *changes.split(), *out)
