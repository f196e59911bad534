"""mindref conform: verdict, files, known gaps, differences, bad input."""

import importlib.util
import json
import signal
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree as xml

import jsonschema
import pytest

from mindref.cli.signals import EndedBySignal
from mindref.conformance.report import json_report
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance import small
from tests.conformance.small import GRADIENT, NAMES, SMALL
from tests.runs import run_python

GAP = '[[expect]]\nrule = "softmax-R5"\nkind = "bug"\nreason = "doubled"\n'


@pytest.fixture(autouse=True)
def small_suite(monkeypatch, tmp_path):
    """Use four checks of one page, in an empty folder."""
    small.use(monkeypatch)
    monkeypatch.chdir(tmp_path)


def conform(cli, backend, *arguments):
    return cli("conform", "--backend", f"{SMALL}:{backend}", "--profile", "smoke", *arguments)


def test_a_conforming_backend_exits_with_0(cli, tmp_path):
    result = conform(cli, "right")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith(f"{SMALL}:right tested by mindref ")
    assert lines[1] == "profile smoke, seed 0, float64, float32, device cpu"
    assert lines[-3:] == [
        f"planned {2 * len(NAMES)} = {2 * len(NAMES)} passed + 0 failed",
        "ops 3/3 · gradients 3/3",
        f"{SMALL}:right conforms",
    ]
    assert list(tmp_path.iterdir()) == [], "nothing failed, so nothing is written"


def test_a_failure_is_reported_with_its_rule_and_a_script(cli, tmp_path):
    result = conform(cli, "wrong_gradient", "--scripts", "scripts")
    assert result.code == 1
    assert "softmax-R5 (must) " in result.out
    assert "times the error bound" in result.out
    assert result.out.endswith("does not conform\n")
    (command,) = [line.strip() for line in result.out.splitlines() if "python " in line]
    script = tmp_path / command.removeprefix("python ")
    assert script.parent == tmp_path / "scripts"
    assert "WRONG = {" in script.read_text(encoding="utf-8")


def report_of(result):
    found = json.loads(result.out)
    jsonschema.Draft202012Validator(json_report.suite_report_schema()).validate(found)
    return found


@pytest.mark.rules("conformance-R17")
def test_json_is_alone_on_stdout(cli):
    result = conform(cli, "wrong_gradient", "--json", "--seed", 3)
    found = report_of(result)
    assert (result.code, result.err) == (1, "")
    assert (found["seed"], found["conforms"], found["counts"]["failed"]) == (3, False, 2)
    versions = [found[name] for name in ("specification", "suite", "protocol")]
    assert all(versions)


def conform_to_files(cli, *arguments):
    """Return the result of a failing backend, and the texts of the four files of its report."""
    names = ("output", "markdown", "junit", "badge")
    files = [word for name in names for word in (f"--{name}", f"report.{name}")]
    result = conform(cli, "wrong_gradient", *arguments, *files)
    return result, [Path(f"report.{name}").read_text(encoding="utf-8") for name in names]


def test_files_hold_the_same_report(cli):
    result, (output, markdown, junit, badge) = conform_to_files(cli, "--json")
    assert output == result.out
    assert badge == report_of(result)["badge"] + "\n"
    assert markdown.startswith(f"# {SMALL}:wrong_gradient does not conform")
    assert xml.fromstring(junit).get("failures") == "4", "two are blocked"


def expectation_options(tmp_path, text):
    (tmp_path / "gaps.toml").write_text(text, encoding="utf-8")
    return ["--expectations", "gaps.toml"]


@pytest.mark.rules("conformance-R10")
def test_a_known_gap_conforms_until_it_is_fixed(cli, tmp_path):
    result = conform(cli, "wrong_gradient", *expectation_options(tmp_path, GAP))
    assert result.code == 0
    assert "2 expected: bug: doubled" in result.out
    result = conform(cli, "right", *expectation_options(tmp_path, GAP))
    assert result.code == 1
    message = "problem: gaps.toml: [[expect]] 1: softmax-R5 passes now; remove"
    assert message in " ".join(result.out.split())


def test_diff_names_the_cause_of_a_change(cli, tmp_path):
    conform(cli, "right", "--output", "old.json")
    result = conform(cli, "wrong_gradient", "--diff", "old.json")
    assert result.code == 1
    assert "4 backend regression" in result.out.splitlines()
    assert f"backend regression: {GRADIENT} [float64, float32], passed -> failed" in result.out
    found = report_of(conform(cli, "right", "--diff", "old.json", "--json"))
    assert found["changes"] == []


@pytest.mark.rules("conformance-R18")
def test_an_invalid_site_is_an_error_before_the_checks_run(cli, monkeypatch):
    monkeypatch.setenv("MINDREF_SITE", "/nowhere")
    reports = []
    monkeypatch.setattr(SuiteRun, "report", lambda self, *_, **__: reports.append(self))
    error = cli.error_line("conform", "--backend", f"{SMALL}:right")
    assert "MINDREF_SITE: expected an address" in error
    assert "got /nowhere; correct or unset the variable" in error
    assert not reports


def test_without_docstrings_the_suite_says_what_to_do():
    """The requirement of a check is its docstring, which Python removes with the option -OO."""
    process = run_python("-OO", "-m", "mindref", "conform", "--backend", "numpy")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.endswith(
        "Error: conform: expected docstrings of the checks, got none; "
        "unset PYTHONOPTIMIZE, or run python without -OO\n"
    )


def test_a_missing_extra_is_reported(cli, monkeypatch):
    find = importlib.util.find_spec
    lacks = lambda name, *options: None if name == "hypothesis" else find(name, *options)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacks)
    result = conform(cli, "right")
    assert (result.code, result.out) == (2, "")
    assert "pip install 'hypothesis>=" in result.err


def test_a_report_that_cannot_be_written_is_printed(cli, monkeypatch):
    monkeypatch.setattr("mindref.cli.conform.check_files", lambda *_: None)
    result = conform(cli, "right", "--badge", "nowhere/badge.txt")
    assert result.code == 2
    assert result.out.endswith("conforms\n")
    assert "nowhere/badge.txt: expected a place that can be written" in result.err


@pytest.mark.rules("conformance-R22")
def test_fail_fast_stops_after_the_first_failure(cli):
    result = conform(cli, "wrong_gradient", "--fail-fast", "--json")
    report = report_of(result)
    assert (result.code, report["complete"], report["stopped"]) == (1, False, "--fail-fast")
    assert conform(cli, "right", "--fail-fast").code == 0


def interrupt_after(monkeypatch, count, error):
    """Let the progress raise `error` after `count` results, as a signal does."""
    results = []

    def on_result(result):
        results.append(result)
        if len(results) == count:
            raise error

    monkeypatch.setattr("mindref.cli.conform.conformance_lines", lambda run: on_result)


@pytest.mark.rules("conformance-R24")
@pytest.mark.parametrize(
    ("error", "code", "name"),
    [(KeyboardInterrupt(), 130, "Ctrl-C"), (EndedBySignal(signal.SIGTERM), 143, "SIGTERM")],
)
def test_a_signal_keeps_the_results_so_far(error, code, name, cli, monkeypatch):
    interrupt_after(monkeypatch, 3, error)
    result, (output, markdown, junit, badge) = conform_to_files(cli)
    assert (result.code, result.err.strip()) == (code, "Stopped.")
    assert f"Incomplete: 5 planned checks did not run, because of {name}." in result.out
    assert json.loads(output)["stopped"] == name
    assert not json.loads(output)["complete"]
    assert f"because of {name}" in markdown
    assert f"({name})" in junit
    assert badge.startswith("incomplete: ")


@pytest.mark.rules("conformance-R24")
def test_a_signal_before_the_first_result_keeps_older_files(cli, monkeypatch, tmp_path):
    (tmp_path / "report.json").write_text("older")
    monkeypatch.setattr(SuiteRun, "report", Mock(side_effect=KeyboardInterrupt))
    result = conform(cli, "right", "--output", "report.json")
    assert (result.code, result.out) == (130, "")
    assert (tmp_path / "report.json").read_text() == "older"


def test_off_a_terminal_a_line_per_page_shows_the_progress(cli, monkeypatch):
    assert conform(cli, "right").err == "", "a short run prints no line"
    monkeypatch.setattr("mindref.cli.conform.LINE_SECONDS", 0.0)
    lines = conform(cli, "right", "--json").err.splitlines()
    assert [line.rsplit(", ", 1)[0] for line in lines] == [
        f"softmax: {count} of 8 checks" for count in range(1, 9)
    ]
    assert all(line.endswith(" s") for line in lines)
