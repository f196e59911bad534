"""Every view of the page has no serious finding of axe-core, light and dark, wide and narrow."""

import json

import pytest

from mindref.study.page.html_file import VIEWS

axe_script = pytest.importorskip(
    "axe_playwright_python.base", reason="pip install axe-playwright-python"
).AXE_SCRIPT
pytestmark = pytest.mark.slow
SERIOUS = {"serious", "critical"}


def serious_findings(page):
    """Return the serious and critical findings of axe-core: rule, elements."""
    page.evaluate(axe_script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe-core checked nothing"
    return [
        (finding["id"], [node["html"][:120] for node in finding["nodes"]])
        for finding in found["violations"]
        if finding["impact"] in SERIOUS
    ]


@pytest.fixture(params=[(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")])
def open_for_axe(opened, request):
    """A function that opens a file in a window of a width and a colour scheme."""
    width, scheme = request.param
    # axe-core needs no network, but the policy of the page forbids a script of a test
    settings = {"color_scheme": scheme, "bypass_csp": True}
    return lambda file: opened(file, viewport={"width": width, "height": 900}, **settings)


def test_no_view_has_a_serious_finding(open_for_axe, rich):
    reader, findings = open_for_axe(rich), {}
    for view in VIEWS:
        reader.at(view=view)
        findings[view] = serious_findings(reader.page)
    assert not any(findings.values()), json.dumps(findings, indent=1)


PLACES = {
    "overview": {"view": "overview"},
    "question": {"step": "routing[2].weights", "ask": 1},
    "squash": {"step": "routing[2].capsules"},
    "sheet": {"step": "routing[2].weights", "cell": "w[2]@3"},
}


def test_no_place_of_the_default_file_has_a_serious_finding(open_for_axe, default_file):
    reader, findings = open_for_axe(default_file), {}
    for name, place in PLACES.items():
        reader.at(**place)
        findings[name] = serious_findings(reader.page)
        assert bool(reader.page.query_selector("form.predict")) == (name == "question")
    reader.page.keyboard.press("Escape")
    reader.page.keyboard.press("?")
    assert reader.page.is_visible("#help")
    findings["help"] = serious_findings(reader.page)
    assert not any(findings.values()), json.dumps(findings, indent=1)


def test_a_planted_fault_is_found(opened, rich):
    page = opened(rich, bypass_csp=True).page
    page.evaluate("document.querySelector('h1').after(document.createElement('button'))")
    assert [rule for rule, _ in serious_findings(page)] == ["button-name"]
