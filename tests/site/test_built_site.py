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


def test_search_works_from_disk_without_a_network(site, browser):
    context = browser.new_context(offline=True)
    page, urls = context.new_page(), []
    page.on("request", lambda request: urls.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.locator("[data-md-component=search-query]").fill("routing-R3")
    first = page.locator("a.md-search-result__link").first
    first.wait_for(state="attached")
    assert "specs/routing.html" in first.get_attribute("href")
    assert [url for url in urls if not url.startswith("file:")] == []
    context.close()
