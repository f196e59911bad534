"""Keyboard, screen reader, contrast, less motion, narrow screens."""

import pytest

from mindref.study.page import write_page
from mindref.study.page.html_file import VIEWS as NAMED_VIEWS
from tests.study.page.page_pair import make_page_pair, trace_to_dict
from tests.study.page.page_reader import Reader

pytestmark = pytest.mark.slow

VIEWS = tuple(NAMED_VIEWS)
PLACE = "#step=routing[2].weights&cell=w[2]@5&ask=0"

FOCUS = """() => { const x = document.activeElement;
  if (x === document.body) return null;
  const all = [...document.querySelectorAll('*')];
  const style = getComputedStyle(x);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return {at: all.indexOf(x), ring, what: x.outerHTML.slice(0, 90)} }"""
REACHABLE = """() => { const all = [...document.querySelectorAll('*')];
  const wanted = 'button, input, select, summary, [tabindex="0"], a[href]';
  return [...document.querySelectorAll(wanted)]
    .filter(x => x.checkVisibility() && !x.disabled && x.tabIndex >= 0 && !x.closest('noscript'))
    .map(x => all.indexOf(x)) }"""


def test_tab_reaches_every_control_in_reading_order(opened, file):
    page = opened(file, PLACE).page
    page.evaluate("document.getElementById('editor-box').open = true")
    wanted, seen = page.evaluate(REACHABLE), []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus is None:
            break
        assert focus["ring"], focus["what"]
        seen.append(focus["at"])
    assert seen == wanted, "every control once, in the order of the text, and no trap"


def test_arrow_keys_move_between_cells_and_enter_selects(opened, file):
    page = opened(file, PLACE).page
    page.focus("#step td[aria-selected=true]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.get_attribute("#step td[aria-selected=true]", "data-index") == "10"
    assert page.inner_text("#inspector .chosen").startswith("w[2][")


NAMED = {"button", "slider", "checkbox", "combobox", "radio", "spinbutton", "grid", "table",
         "region", "navigation", "dialog", "link", "image", "rowheader",
         "columnheader"}  # fmt: skip


def unnamed(page):
    """Return the nodes of the accessibility tree that need a name and have none."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes]
    assert "button" in roles
    return [
        node
        for node, role in zip(nodes, roles, strict=True)
        if role in NAMED
        and not node.get("ignored")
        and not node.get("name", {}).get("value", "").strip()
    ]


BAD_TABLES = """tables => tables.filter(t => !t.caption.textContent
  || [...t.tBodies[0].rows].some(r => r.cells[0].scope !== 'row')
  || (t.rows[0].cells.length > 2 && !t.tHead.querySelector('th[scope=col]'))).length"""


def test_every_control_has_a_name_and_every_table_headers(opened, file, rich):
    page = opened(file, PLACE)
    for number, step in enumerate(page.steps()):
        page.at(step=step)
        assert page.page.eval_on_selector_all("#step table", BAD_TABLES) == 0, step
        if number % 9 == 0:
            page.open_details()
            assert unnamed(page.page) == []
    page = opened(rich, "#ask=0")
    for view in VIEWS[1:]:
        page.at(view=view)
        page.open_details()
        assert unnamed(page.page) == [], view
        assert page.page.eval_on_selector_all("#tab table", BAD_TABLES) == 0, view


def test_the_skip_link_focuses_the_current_step(opened, file):
    page = opened(file, f"{PLACE}&edits=S:2")
    page.page.focus(".skip")
    page.page.keyboard.press("Enter")
    page.page.evaluate("() => new Promise(done => setTimeout(done))")
    assert page.step() == "routing[2].weights"
    assert "edits=S" in page.page.url
    assert page.page.evaluate("document.activeElement.id") == "step"


def test_changes_are_announced(opened, file):
    page = opened(file, PLACE).page
    assert page.get_attribute("#live", "aria-live") == "polite"
    page.click("#next")
    assert page.inner_text("#live").startswith("Step 13 of 57: ")
    page.click("#views button[data-view=replay]")
    assert page.inner_text("#live") == "Replay"
    page.click("#views button[data-view=steps]")
    page.keyboard.press("r")
    assert page.inner_text("#live") == "The recorded numbers are restored."


CONTRAST = """(selector) => {
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => c.reduce((a, v, k) => a + linear(v / 255) * [.2126, .7152, .0722][k], 0);
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const cache = new Map();
  const rgba = text => {
    if (!cache.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      cache.set(text, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return cache.get(text) };
  const ground = x => { for (let y = x; y; y = y.parentElement) {
    const c = rgba(getComputedStyle(y).backgroundColor); if (c[3] === 255) return c.slice(0, 3) }
    return rgba(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3) };
  let worst = [99, ''];
  for (const x of document.querySelectorAll(selector)) {
    const text = [...x.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!text || !x.checkVisibility()) continue;
    if (x.closest('.unseen, svg, noscript, :disabled')) continue;
    const [a, b] = [light(rgba(getComputedStyle(x).color).slice(0, 3)), light(ground(x))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, x.outerHTML.slice(0, 120)];
  }
  return worst }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(opened, file, rich, scheme):
    page = opened(file, PLACE, color_scheme=scheme)
    for step in page.steps():
        page.at(step=step, cell="w[2]@5", edits="" if len(step) % 2 else "S:2")
        ratio, where = page.page.evaluate(
            CONTRAST, "#step td[data-index], #step *, #side *, header *"
        )
        assert ratio >= 4.5, (step, where)
    page = opened(rich, "#ask=0", color_scheme=scheme)
    for view in VIEWS:
        page.at(view=view)
        ratio, where = page.page.evaluate(CONTRAST, "#tab *")
        assert ratio >= 4.5, (view, where)


def test_largest_and_negative_numbers_are_marked_without_colour(shared):
    shared.at(step="routing[2].weights")
    rows = shared.page.query_selector_all("#step tbody tr")
    assert all(len(row.query_selector_all(".most")) == 1 for row in rows)
    assert "largest" in shared.page.inner_text("#step tbody tr:first-child td:has(.most)")
    shared.at(step="routing.logits")
    assert shared.page.query_selector("#step .most") is None, "a softmax follows"
    for value, text in shared.cells()["b[1]"].values():
        assert text.startswith("−") == (float(value) < 0)


MARKED = """() => [...document.querySelectorAll('#step .results figure.tensor')].map(figure => [
  figure.dataset.tensor, [...figure.querySelectorAll('td:has(.most)')].map(td =>
    [Number(td.dataset.value), td.querySelector('.unseen').textContent.trim()]),
  [...figure.querySelectorAll('td[data-index]')].map(td => Number(td.dataset.value))])"""


@pytest.mark.parametrize(
    ("step", "words", "size"),
    [("history.embed", "largest", lambda x: x), ("routing[1].agreement", "largest", lambda x: x),
     ("routing.d_votes", "largest in size", abs)],
)  # fmt: skip
def test_the_mark_is_at_the_largest_number_and_for_gradients_in_size(shared, step, words, size):
    shared.at(step=step)
    figures = {name: (marks, values) for name, marks, values in shared.page.evaluate(MARKED)}
    name = {"history.embed": "e", "routing.d_votes": "d_Se"}.get(step, "a[1]")
    marks, values = figures[name]
    assert {text for _, text in marks} == {words}
    assert max(marks, key=lambda mark: size(mark[0]))[0] == max(values, key=size)
    if name != "a[1]":
        assert len(marks) == 1


@pytest.mark.parametrize("step", ["loss.logits", "loss.hits", "attention.power", "routing.logits"])
def test_logits_have_no_mark(shared, step):
    shared.at(step=step)
    assert all(not marks for _, marks, _ in shared.page.evaluate(MARKED))


@pytest.fixture(scope="module")
def inactive(browser, tmp_path_factory):
    """A page of a user with four of six interests and many negative numbers."""
    pair = make_page_pair(3, interests=6, length=16, window=16)
    traced = trace_to_dict(pair)
    path = tmp_path_factory.mktemp("inactive") / "study.html"
    write_page([traced], path)
    context = browser.new_context(offline=True)
    yield Reader(context.new_page(), path, "#ask=0")
    context.close()


@pytest.mark.parametrize("step", ["routing[1].agreement", "attention.scores", "serve.scores"])
def test_an_inactive_interest_is_never_the_largest(inactive, step):
    inactive.at(step=step)
    rows = inactive.page.evaluate(ROWS_OF_INTERESTS)
    negative = 0
    for values, marked, count in rows:
        largest = max(values[:count])
        negative += largest < 0
        assert count < len(values)
        assert marked == [values.index(largest)]
    assert rows
    assert negative or step != "serve.scores", "a row of negative numbers"


ROWS_OF_INTERESTS = """() => {
  const active = 4;
  const bodies = [...document.querySelectorAll('#step .results figure.tensor')]
    .filter(f => /^(a\\[1\\]|s|score)$/.test(f.dataset.tensor))
    .flatMap(f => [...f.querySelectorAll('tbody tr')]);
  return bodies.map(row => [...row.querySelectorAll('td[data-index]')]).map(cells => [
    cells.map(td => Number(td.dataset.value)),
    cells.flatMap((td, k) => td.querySelector('.most') ? [k] : []), active]) }"""


def test_reduced_motion_disables_play(opened, file):
    assert opened(file, reduced_motion="reduce").page.is_disabled("#play")
    assert not opened(file, reduced_motion="no-preference").page.is_disabled("#play")


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_scrolls_sideways(opened, file, rich, width):
    page = opened(file, "#ask=0", viewport={"width": width, "height": 800})
    for step in page.steps():
        page.at(step=step, cell="w[2]@5")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width, step
    page = opened(rich, "#ask=0", viewport={"width": width, "height": 800})
    for view in VIEWS:
        page.at(view=view)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_row_headers_of_a_wide_table_are_sticky(opened, file):
    page = opened(file, "#step=routing.votes&ask=0", viewport={"width": 360, "height": 800}).page
    box = page.query_selector("figure[data-tensor='Se'] .scroll")
    head = page.query_selector("figure[data-tensor='Se'] tbody th")
    before = head.bounding_box()["x"]
    box.evaluate("x => { x.scrollLeft = 300 }")
    assert box.evaluate("x => x.scrollLeft") == 300
    assert head.bounding_box()["x"] == before
