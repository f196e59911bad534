"""mindref ablate: the list of studies, the table, and checks before the work."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mindref.experiments import results, studies
from mindref.run.source import Source
from tests.cli.conftest import Cli
from tests.runs import options


def test_the_studies_are_listed(cli: Cli) -> None:
    said = cli("ablate", "--list")
    assert said.code == 0
    for name in studies.table():
        assert f" {name} " in said.out
    assert "inf, 0, 0.5, 1, 2, 4" in said.out
    found = json.loads(cli("ablate", "--list", "--json", "--studies", "sigma").out)
    assert [study["name"] for study in found] == ["sigma"]
    assert found[0]["arms"]["5"] == {"sigma": 5.0}


def test_an_ablation_is_a_table_and_a_result(cli: Cli, shop: Path, tmp_path: Path) -> None:
    out, file, picture = tmp_path / "out", tmp_path / "t.md", tmp_path / "p.png"
    words = ["ablate", shop, "--studies", "last_relu,score", "--seeds", "2", "--out", out]
    more = ["--markdown", file, "--plot", picture]
    said = cli(*words, *more, *options(steps=4))
    assert said.code == 0, said.err
    assert "run 6 of 6: score sum, seed 1" in said.err
    for text in ("ablation: 58 test cases", "s/1,000 steps", "verdict", "rectified", "base"):
        assert text in said.out
    assert "| score | sum |" in file.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads((out / "ablate.json").read_text())
    jsonschema.Draft202012Validator(results.schema()).validate(found)
    again = cli(*words, "--json", *options(steps=4))
    assert again.code == 0
    assert again.err.count("trained before") == 6
    theirs = json.loads(again.out)
    assert theirs["command"].startswith("mindref ablate ")
    assert {**theirs, "command": ""} == {**found, "command": ""}, "cost and all: nothing was done"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--studies", "sigmoid"], "--studies: expected all, or some of sigma, power"),
        (["--studies", ""], "--studies: expected all, or names of studies, got none; --list"),
        (["--studies", "sigma"], "--out: expected a folder for the runs, got none"),
        (["--model", "wals", "--studies", "initial"], "study initial, arm 0.1: initial: expected"),
    ],
)
def test_a_mistake_is_one_line_before_the_log_is_read(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, more: list[str], error: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    own = [] if "--out" in error else ["--out", tmp_path / "out"]
    said = cli("ablate", *more, *own)
    assert said.code == 2
    assert error in said.err
