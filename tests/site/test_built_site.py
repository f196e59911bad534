"""The built site: navigation, anchors, results of notebooks, search, no URL of another host."""

import json
import re
from html.parser import HTMLParser

import pytest

from mindref.conformance.report.rule_address import rule_address
from tests import spec_pages
from tests.assertions import nonempty
from tests.site.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / ".site" / "notebooks").glob("*.ipynb"))
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
LINKS_LOADED = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "manifest"}
CSS_URL = re.compile(r"""(?:url\(|@import)\s*["']?(?!data:)((?:https?:)?//[^"')]+)""")
REMOTE = re.compile(r"(https?:)?//")


class LoadedUrls(HTMLParser):
    """Collects the URLs that a browser loads with a page, and the ids of the page."""

    def __init__(self, text):
        super().__init__()
        self.urls, self.ids, self.nav = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.add(values.get("id"))
        if tag in LOADING and values.get(LOADING[tag]):
            self.urls.append(values[LOADING[tag]])
        if tag == "link" and LINKS_LOADED & set(values.get("rel", "").split()):
            self.urls.append(values["href"])
        if tag == "a" and "md-nav__link" in values.get("class", ""):
            self.nav.add(values.get("href"))
        self.urls += CSS_URL.findall(values.get("style") or "")


def remote_urls(text):
    """Return the URLs of other hosts that a browser loads with a page or a style sheet."""
    urls = [*LoadedUrls(text).urls, *CSS_URL.findall(text)]
    return [url for url in urls if REMOTE.match(url)]


def test_a_url_of_another_host_is_noticed():
    text = """<script src="//a.org/x.js"></script><link rel="stylesheet" href="https://b.org/y.css">
    <style>@import "https://c.org/z.css"; a { background: url(https://d.org/e.png) }</style>
    <a href="https://f.org">a link is not loaded</a> <link rel="next" href="https://g.org">"""
    assert [url.split("//")[1][:1] for url in remote_urls(text)] == ["a", "b", "c", "d"]


def test_no_page_loads_a_url_of_another_host(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > 60
    loaded = {path.name: remote_urls(path.read_text(encoding="utf-8")) for path in files}
    assert {name: urls for name, urls in loaded.items() if urls} == {}


def test_every_page_of_the_specification_is_in_the_navigation(site):
    page = LoadedUrls((site / "specs" / "routing.html").read_text(encoding="utf-8"))
    linked = {(site / "specs" / href).resolve() for href in page.nav if href}
    for path in nonempty(spec_pages.SPECS.rglob("*.md")):
        name = path.relative_to(spec_pages.SPECS.parent).with_suffix(".html")
        target = site / (name.with_name("index.html") if path.stem == "README" else name)
        assert target.resolve() in linked, path


@pytest.mark.parametrize("page", spec_pages.names())
def test_every_rule_has_the_anchor_of_its_address(site, page):
    ids = LoadedUrls((site / "specs" / f"{page}.html").read_text(encoding="utf-8")).ids
    assert {rule_address(rule).split("#")[1] for rule in spec_pages.rules(page)} <= ids


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_notebooks_have_results(site):
    routing = (site / "notebooks" / "pytorch_routing.html").read_text(encoding="utf-8")
    assert "routing-softmax-over-behaviours" in routing, "the diagnosis of the planted mistake"
    assert "my_routing:Mine conforms" in routing, "the verdict after the correction"
    own_data = (site / "notebooks" / "own_data.html").read_text(encoding="utf-8")
    assert "<td>customer-0001</td>" in own_data
    assert ">True\n" in own_data, "the loaded model recommends the same items"
    active = [True, True, True, True]
    assert f"(2, 4, 64) {[active, active]}" in own_data, "a short history has as many interests"


def test_the_guide_has_the_output_of_its_commands(site):
    guide = (site / "guide" / "training.html").read_text(encoding="utf-8")
    assert "hit_rate@10" in guide
    nightly = (site / "guide" / "nightly_update.html").read_text(encoding="utf-8")
    assert "start from " in nightly
    assert "with which a run is trained on all interactions of its log" in nightly
    study_page = (site / "guide" / "study_page.html").read_text(encoding="utf-8")
    assert len(study_page) > 100_000


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("routing-R3", "specs/routing.html"),
        ("how many interests", "guide/interests.html"),
        ("why several interests", "guide/interests.html"),
    ],
)
def test_search_works_from_disk_without_a_network(query, found, site, browser):
    context = browser.new_context(offline=True)
    page, urls = context.new_page(), []
    page.on("request", lambda request: urls.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.locator("[data-md-component=search-query]").fill(query)
    first = page.locator("a.md-search-result__link").first
    first.wait_for(state="attached")
    assert found in first.get_attribute("href")
    assert [url for url in urls if not url.startswith("file:")] == []
    context.close()


@pytest.mark.parametrize("path", ["index.html", "guide/study.html"])
def test_a_page_shows_the_study_page(path, site, browser):
    page = browser.new_page()
    page.goto((site / path).as_uri())
    frame = page.locator("iframe.study")
    frame.scroll_into_view_if_needed()
    frame.content_frame.get_by_role("button", name="Play").first.wait_for()
    page.close()


def test_a_copied_block_has_neither_prompts_nor_outputs(site, browser):
    page = browser.new_page()
    page.goto((site / "guide" / "training.html").as_uri())
    page.evaluate("document.addEventListener('copy', e => { window.copied = e.target.value })")
    page.locator(".highlight:has(.gp):has(.go) button").first.click()
    page.wait_for_function("window.copied")
    copied = page.evaluate("window.copied")
    assert copied.startswith("mindref train")
    assert "hit_rate@10" not in copied
    assert "$ " not in copied
    page.close()


def test_a_package_of_the_api_has_a_page_for_each_module(site):
    for module in ("data/log", "data/readers/delimited", "ops/routing", "models/mind"):
        text = (site / "api" / f"{module}.html").read_text(encoding="utf-8")
        assert f'id="mindref.{module.replace("/", ".")}"' in text
        assert text.count('class="doc doc-object doc-module"') == 1
