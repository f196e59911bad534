"""Each format of the report contains the address of a broken rule."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mindref.conformance import plugin
from mindref.conformance.report import json_report, junit, markdown, summary
from mindref.conformance.report.rule_address import SITE, rule_address
from mindref.errors import ConfigError
from tests.assertions import nonempty
from tests.conformance.report.test_texts import terminal_lines
from tests.conformance.small import PROPERTY, report, result

ADDRESS = "specs/softmax.html#softmax-r2"
FAILED = result(PROPERTY, "failed", rules=("softmax-R2",), message="m")


def report_texts():
    """Return the report of a failure in every format."""
    data = report(FAILED)
    content = json_report.suite_report_json(data)
    texts = [markdown.markdown_text(data), junit.junit_text(data), summary.result_text(FAILED)]
    return ["\n".join(terminal_lines(data)), json.dumps(content["rules"]), *texts]


@pytest.fixture(autouse=True)
def _no_site(monkeypatch):
    monkeypatch.delenv(SITE, raising=False)


@pytest.mark.rules("conformance-R18")
def test_every_format_has_the_path_of_the_rule():
    for text in nonempty(report_texts()):
        assert ADDRESS in text
        assert f"/{ADDRESS}" not in text


@pytest.mark.rules("conformance-R18")
@pytest.mark.parametrize("site", ["https://docs.example.org", "https://docs.example.org/"])
def test_an_address_of_the_site_completes_the_address_of_the_rule(monkeypatch, site):
    monkeypatch.setenv(SITE, site)
    for text in nonempty(report_texts()):
        assert f"https://docs.example.org/{ADDRESS}" in text


@pytest.mark.rules("conformance-R18")
def test_a_folder_with_the_site_gives_a_file_address(monkeypatch, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "index.html").touch()
    monkeypatch.setenv(SITE, str(tmp_path))
    assert rule_address("softmax-R2") == f"{tmp_path.as_uri()}/{ADDRESS}"


@pytest.mark.rules("conformance-R18")
def test_a_folder_without_the_site_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv(SITE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"MINDREF_SITE: expected an address .*, got .*; correct"):
        rule_address("softmax-R2")


@pytest.mark.rules("conformance-R18")
def test_the_pytest_plugin_checks_the_site_before_other_options(monkeypatch):
    monkeypatch.setenv(SITE, "/nowhere")
    options = {"--mindref-backend": "numpy", "--mindref-scripts": Path("no-file/scripts")}
    with pytest.raises(ConfigError, match=r"MINDREF_SITE: expected an address .*, got /nowhere"):
        plugin.build_run(SimpleNamespace(getoption=options.get))
