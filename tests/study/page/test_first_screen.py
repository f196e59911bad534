"""The first screen: the default view, one line of header, tabs, and the sheet on a phone."""

import pytest

from mindref.study.page.html_file import VIEWS
from tests.study.page.page_pair import make_page_pair, trace_to_dict

pytestmark = pytest.mark.slow


def test_the_default_view_is_the_overview_and_a_link_to_a_step_opens_the_step(opened, file):
    assert next(iter(VIEWS)) == "overview"
    for address, view in (
        ("", "overview"), ("#ask=0", "overview"), ("#step=ids&view=overview", "overview"),
        ("#step=ids", "steps"), ("#cell=w[2]@3", "steps"), ("#edits=S:2", "steps"),
    ):  # fmt: skip
        page = opened(file, address).page
        assert page.is_visible("#tab svg.picture") == (view == "overview"), address
        assert page.is_visible("#step") == (view == "steps"), address
        assert page.get_attribute(f"#views button[data-view={view}]", "aria-current") == "page"


def test_a_page_without_data_of_the_overview_shows_the_traced_users(opened):
    two = [trace_to_dict(make_page_pair(seed), user=f"u{seed}") for seed in (1, 2)]
    page = opened(two).page
    options = page.eval_on_selector_all("#picture-user option", "all => all.map(x => x.text)")
    assert options == ["u1", "u2"]
    assert page.locator("#tab .film").count() == 10
    page.select_option("#picture-user", "1")
    assert page.input_value("#user") == "1", "the other tabs follow a traced user"


@pytest.mark.parametrize("width", [360, 400, 1024, 1400])
def test_the_header_is_one_line(opened, default_file, width):
    page = opened(default_file, viewport={"width": width, "height": 800}).page
    head = page.locator("header .head")
    assert head.bounding_box()["height"] < 40
    middles = head.locator("h1, button").evaluate_all(
        "all => all.filter(x => x.checkVisibility()).map(x => x.getBoundingClientRect())"
        ".map(x => (x.top + x.bottom) / 2)"
    )
    assert max(middles) - min(middles) < 4
    picture = page.locator("#tab svg.picture").bounding_box()
    assert picture["y"] < 480, "the picture begins on the first screen"
    check = page.locator("#selfcheck").bounding_box()
    assert check["y"] > picture["y"] + picture["height"], "the self-check is not the first thing"


@pytest.mark.parametrize("width", [700, 1024, 1400])
def test_no_tab_is_cut(opened, default_file, width):
    page = opened(default_file, viewport={"width": width, "height": 800}).page
    if width >= 900:
        for button in page.locator("#views button").all():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    page.click("#views button >> nth=-1")
    box = page.locator("#views button >> nth=-1").bounding_box()
    assert box["x"] + box["width"] <= width


def test_a_failed_self_check_is_at_the_top(opened):
    trace = trace_to_dict(make_page_pair())
    next(x for s in trace["steps"] for x in s["outputs"] if x["name"] == "Se")["recipe"] = {
        "op": "sum", "out": "id", "terms": [],
    }  # fmt: skip
    bad = opened([trace]).page
    assert "FAILED" in bad.inner_text("header #selfcheck")
    assert "✗" in bad.inner_text("#badge")


def test_the_badge_leads_to_the_self_check(opened, file):
    page = opened(file, viewport={"width": 1400, "height": 500}).page
    assert page.inner_text("#badge") == "✓ self-check"
    page.click("#badge")
    assert page.is_visible("#selfcheck table")
    assert page.locator("#selfcheck").evaluate("x => x.getBoundingClientRect().top") < 500


def test_a_tap_on_a_cell_opens_a_sheet_on_a_phone(opened, file):
    size = {"width": 400, "height": 800}
    page = opened(file, "#step=routing[2].weights&ask=0", viewport=size, has_touch=True).page
    assert not page.is_visible("#side-close")
    page.tap("#step td[data-index='5']")
    chosen = page.locator("#inspector .chosen").bounding_box()
    assert chosen["y"] + chosen["height"] <= size["height"], "visible without scrolling"
    cell = page.locator("#step td[data-index='5']").bounding_box()
    assert cell["y"] < page.locator("#side").bounding_box()["y"], "the cell is not covered"
    page.tap("#side-close")
    assert page.query_selector("#step td[aria-selected=true]") is None
    assert not page.is_visible("#side-close")
    assert page.evaluate("document.activeElement.dataset.index") == "5"


def test_a_wide_screen_has_no_sheet(opened, file):
    page = opened(file, "#step=routing[2].weights&cell=w[2]@5&ask=0").page
    assert not page.is_visible("#side-close")
