"""`mindref conform` as a user meets it: verdict, files, known gaps, differences, bad input."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import jsonschema
import pytest

from mindref.backend import available
from mindref.conformance.report import as_json
from tests.cli.conftest import Cli, Said
from tests.conformance import small
from tests.conformance.small import FORWARD, GRADIENT, LAW, NAMES, SMALL

INSTALLED = ", ".join(sorted(available()))

GAP = '[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "doubled"\n'
WIDER = f'[[tolerance]]\ncheck = "{FORWARD}"\nfactor = 3\nreason = "a fast exp"\n'


@pytest.fixture(autouse=True)
def small_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Judge by four checks of one page, in a folder of one's own."""
    small.use(monkeypatch)
    monkeypatch.chdir(tmp_path)


def conform(cli: Cli, backend: str, *words: object) -> Said:
    return cli("conform", "--backend", f"{SMALL}:{backend}", "--profile", "smoke", *words)


def test_a_backend_that_conforms_ends_with_nothing_wrong(cli: Cli, tmp_path: Path) -> None:
    said = conform(cli, "right")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{SMALL}:right judged by mindref ")
    assert lines[1] == "profile smoke, seed 0, float64, float32, device cpu"
    assert lines[-3:] == [
        f"planned {2 * len(NAMES)} = {2 * len(NAMES)} passed + 0 failed",
        "ops 3/3 · gradients 3/3",
        f"{SMALL}:right conforms",
    ]
    assert list(tmp_path.iterdir()) == [], "nothing failed, so nothing is written"


def test_a_failure_is_told_with_its_rule_and_a_script(cli: Cli, tmp_path: Path) -> None:
    said = conform(cli, "wrong_gradient", "--scripts", "scripts")
    assert said.code == 1
    assert "softmax-R5 (must) Backward is w (g − ⟨w, g⟩)" in said.out
    assert "times the allowed error" in said.out
    assert said.out.endswith("does not conform\n")
    (command,) = [line.strip() for line in said.out.splitlines() if "python " in line]
    script = tmp_path / command.removeprefix("python ")
    assert script.parent == tmp_path / "scripts"
    assert "WRONG = {" in script.read_text(encoding="utf-8")


def test_words_choose_what_is_judged(cli: Cli) -> None:
    said = conform(cli, "wrong_gradient", "softmax-R1", LAW)
    assert "only softmax-R1, softmax/what" in said.out
    assert "planned 4 = " in said.out


def judged(said: Said) -> dict[str, Any]:
    found = json.loads(said.out)
    jsonschema.Draft202012Validator(as_json.schema()).validate(found)
    assert isinstance(found, dict)
    return found


@pytest.mark.rules("conformance-R17")
def test_json_stands_alone_on_standard_output(cli: Cli) -> None:
    said = conform(cli, "wrong_gradient", "--json", "--seed", 3)
    found = judged(said)
    assert (said.code, said.err) == (1, "")
    assert (found["seed"], found["conforms"], found["counts"]["failed"]) == (3, False, 2)
    versions = [found[name] for name in ("specification", "suite", "protocol")]
    assert all(versions)


def test_files_hold_the_same_judgement(cli: Cli, tmp_path: Path) -> None:
    names = ("output", "markdown", "junit", "badge")
    words = [word for name in names for word in (f"--{name}", f"report.{name}")]
    said = conform(cli, "wrong_gradient", "--json", *words)
    output, markdown, junit, badge = (
        (tmp_path / f"report.{name}").read_text(encoding="utf-8") for name in names
    )
    assert output == said.out
    assert badge == judged(said)["badge"] + "\n"
    assert markdown.startswith(f"# {SMALL}:wrong_gradient does not conform")
    assert xml.fromstring(junit).get("failures") == "2"


def expecting(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "gaps.toml").write_text(text, encoding="utf-8")
    return ["--expectations", "gaps.toml"]


@pytest.mark.rules("conformance-R10")
def test_a_known_gap_conforms_until_it_has_closed(cli: Cli, tmp_path: Path) -> None:
    words = expecting(tmp_path, GAP)
    known = conform(cli, "wrong_gradient", *words)
    assert known.code == 0
    assert "2 expected: bug: doubled" in known.out
    closed = conform(cli, "right", *words)
    assert closed.code == 1
    assert "problem: gaps.toml: [[expect]] 1: softmax-R5 passes now; remove" in closed.out


@pytest.mark.rules("conformance-R10")
def test_an_expectation_that_meets_nothing_does_not_conform(cli: Cli, tmp_path: Path) -> None:
    said = conform(cli, "right", *expecting(tmp_path, GAP.replace("R5", "R55")))
    assert said.code == 1
    flat = " ".join(said.out.split())
    assert "softmax-R55 is no rule that a check of this suite cites: the line is stale" in flat


@pytest.mark.rules("conformance-R10")
def test_an_expectation_of_no_check_is_told_though_only_a_part_is_judged(
    cli: Cli, tmp_path: Path
) -> None:
    lines = GAP.replace('rule = "softmax-R5"', 'check = "softmax/no_more"')
    said = conform(cli, "right", "softmax-R1", *expecting(tmp_path, lines))
    assert said.code == 1
    flat = " ".join(said.out.split())
    assert "problem: gaps.toml: [[expect]] 1: softmax/no_more is no check of this suite" in flat


@pytest.mark.rules("conformance-R11")
def test_a_widened_tolerance_stands_in_the_report_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    words = expecting(tmp_path, WIDER)
    said = conform(cli, "right", *words)
    assert said.code == 0
    flat = " ".join(said.out.split())
    assert f"remark: allowed error of {FORWARD} widened 3 times: a fast exp" in flat
    assert "· 2 loosened" in said.out
    found = judged(conform(cli, "right", "--json", *words))
    loose = [row for row in found["results"] if row["check"] == FORWARD]
    assert [(row["grade"], row["factor"]) for row in loose] == [("C", 3.0), ("C", 3.0)]


@pytest.mark.rules("conformance-R11")
def test_a_tolerance_that_is_widened_is_wider(cli: Cli, tmp_path: Path) -> None:
    def code(factor: str, reason: str = "a fast exp") -> int:
        text = WIDER.replace("3", factor).replace("a fast exp", reason)
        return conform(cli, "rounding", FORWARD, *expecting(tmp_path, text)).code

    assert conform(cli, "rounding", FORWARD).code == 1
    assert [code("1.5"), code("16"), code("16", reason="")] == [1, 0, 2]


def test_differences_say_whose_change_it_was(cli: Cli, tmp_path: Path) -> None:
    conform(cli, "right", "--output", "old.json")
    said = conform(cli, "wrong_gradient", "--diff", "old.json")
    assert said.code == 1
    assert "4 your regression" in said.out.splitlines()
    assert f"your regression: {GRADIENT} [float64, float32], passed -> failed" in said.out
    found = judged(conform(cli, "right", "--diff", "old.json", "--json"))
    assert found["changes"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--backend", "nobody"],
            f"backend: expected one of {INSTALLED}, or module:object, got 'nobody'",
        ),
        (["--backend", "no_such_module:X"], "ModuleNotFoundError: No module named"),
        (["--backend", f"{SMALL}:WrongType"], "expected Capabilities, got a dict"),
        (["--backend", f"{SMALL}:right", "flush"], "expected a page, a rule or a check"),
        (["--backend", f"{SMALL}:right", "--expectations", "no.toml"], "a TOML file"),
        (["--backend", f"{SMALL}:right", "--diff", "no.json"], "got No such file or directory"),
        (["--backend", f"{SMALL}:right", "--diff", "words.txt"], "got a text that is no JSON"),
        (["--backend", f"{SMALL}:right", "--diff", "taken"], "got an empty file; give one that"),
        (["--backend", f"{SMALL}:right", "--diff", "other.json"], "got JSON of another kind"),
        (["--backend", f"{SMALL}:right", "--output", "no/x.json"], "make the folder"),
        (["--backend", f"{SMALL}:right", "--scripts", "taken/x"], "--scripts: expected a place"),
        (["--backend", f"{SMALL}:right", "--markdown", "taken/x"], "--markdown: expected a place"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_runs(
    words: list[str], says: str, cli: Cli, tmp_path: Path
) -> None:
    for name, text in {"taken": "", "words.txt": "softmax\n", "other.json": "[1]"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    said = cli("conform", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Error: ")
    assert says in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--seed", "-1"], ["--seed", "x"], ["--profile", "quick"], ["--output", "."], []]
)
def test_usage_that_is_wrong_ends_with_two(words: list[str], cli: Cli) -> None:
    backend = ["--backend", f"{SMALL}:right"] if words else []
    said = cli("conform", *backend, *words)
    assert (said.code, said.out) == (2, "")
    assert "Try 'mindref conform --help'" in said.err


def test_without_the_extra_it_says_what_to_install(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    lacks = lambda name, *more: None if name == "hypothesis" else find(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacks)
    said = conform(cli, "right")
    assert (said.code, said.out) == (2, "")
    assert "pip install 'mindref[conformance]'" in said.err


def test_a_report_that_cannot_be_written_after_all_is_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.cli.conform.check_files", lambda files, scripts: None)
    said = conform(cli, "right", "--badge", "nowhere/badge.txt")
    assert said.code == 2
    assert said.out.endswith("conforms\n")
    assert "nowhere/badge.txt: expected a place that can be written" in said.err
