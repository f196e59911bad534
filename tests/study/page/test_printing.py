"""Hostile titles, paper and no scripts, the same bytes."""

import copy
import getpass
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mindref.errors import ConfigError
from mindref.study.derived_views import derive_views
from mindref.study.page import write_page
from mindref.study.page.html_file import VIEWS
from tests.study.page.page_pair import ITEMS, make_page_pair, trace_to_dict

pytestmark = pytest.mark.slow

HOSTILE = [
    "<b>bold</b><img src=x onerror=alert(1)>",
    "\"quoted\" 'twice' & ampersand;",
    "</script><script>document.title='owned'</script>",
    "]]> --> <!-- </noscript></style><style>*{display:none}</style>",
    "\u202eright to left\u202c \u2066isolate",
    "x" * 300,
    "",
    "   ",
    "{{data}} {{script}} $& \\u003c",
    "日本語のとても長い題名\u0000\u2028\u2029",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, derived):
    titles = [HOSTILE[(item + 2) % len(HOSTILE)] for item in range(ITEMS)]  # item 8: HOSTILE[0]
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    views = derive_views(make_page_pair(), titles)
    views["case"] = copy.deepcopy(derived["case"]) | {"target": HOSTILE[2]}
    for strip in (*views["case"]["lists"], views["case"]["single"]):
        for number, item in enumerate(strip["items"]):
            item["title"] = HOSTILE[number % len(HOSTILE)]
    one = trace_to_dict(make_page_pair(), titles, user=HOSTILE[2], chosen=HOSTILE[0])
    write_page([one], path, derived=[views])
    return path


def test_hostile_titles_are_text_with_scripts(opened, hostile):
    page = opened(hostile, "#ask=0", viewport={"width": 360, "height": 800})
    page.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    assert page.selfcheck() == "pass"
    for step in ("ids", "routing[3].weights", "loss.value", "serve.scores"):
        page.at(step=step, cell="w[2]@7")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    shown = page.page.eval_on_selector_all("#step tbody th", "all => all.map(x => x.textContent)")
    assert {title for title in HOSTILE if title.strip()} <= set(shown)
    assert "(no title)" in shown
    for view in VIEWS:
        page.at(view=view)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 360, view
    page.at(step="ids")
    assert page.page.evaluate("document.images.length + document.scripts.length") == 5
    assert page.page.title().startswith("MIND, step by step: </script>")
    assert page.errors == []
    assert page.requests == [hostile.as_uri()]


def test_hostile_titles_are_text_without_scripts(unscripted, hostile):
    page = unscripted(hostile)
    assert HOSTILE[0] in page.inner_text("body")
    assert page.query_selector("img, b b, style + style") is None


def test_a_print_has_the_step_and_its_table(opened, file):
    page = opened(file, "#step=routing[2].weights&cell=w[2]@5&ask=0", color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="light")
    assert page.is_visible("#step-title")
    assert page.is_visible("#step .results td[data-index]")
    for gone in ("#step-list", "#slider", "#views", "#editor-box", "#theme"):
        assert not page.is_visible(gone), gone
    box = page.query_selector("#step .results .scroll")
    assert box.evaluate("x => getComputedStyle(x).overflowX") == "visible", "nothing is cut off"
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 10_000
    assert page.get_attribute("html", "data-theme") is None, "the screen gets its colours back"


PRINTED = """selector => [...document.querySelectorAll(selector)].map(x => getComputedStyle(x))
  .map(style => [style.printColorAdjust, style.breakInside])"""


@pytest.mark.parametrize(
    ("place", "selector"),
    [("view=replay", "#tab .replay td"), ("step=routing[1].capsules", "#step td[data-index]"),
     ("view=variants", "#tab td[data-index]"), ("view=pictures", "#tab .drawing")],
)  # fmt: skip
def test_a_print_keeps_colours_and_fits_the_width_of_the_page(opened, rich, place, selector):
    page = opened(rich, f"#ask=0&{place}", viewport={"width": 718, "height": 1000}).page  # A4
    page.emulate_media(media="print")
    colours = page.evaluate(PRINTED, selector)
    assert colours
    assert {adjust for adjust, _ in colours} == {"exact"}
    tables = page.evaluate(PRINTED, "#tab table, #step table, .chart")
    assert {inside for _, inside in tables} <= {"avoid-page", "avoid"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    boxes = page.eval_on_selector_all(
        ":is(#step, #tab) .scroll",
        "all => all.filter(x => getComputedStyle(x).overflowY !== 'visible').length",
    )
    assert boxes == 0, "nothing is cut off below"


def test_without_scripts_the_page_has_table_and_steps(unscripted, file, trace):
    page = unscripted(file)
    text = page.inner_text("body")
    last = [step for step in trace["steps"] if step["kind"] == "routing.weights"][-1]
    assert f"Coupling weights of the last iteration, {last['outputs'][0]['name']}" in text
    for step in trace["steps"]:
        assert step["title"] in text
        assert step["equation"]["plain"].replace("\n", "; ") in text
    rows = page.query_selector_all("noscript table tbody tr, .noscript table tbody tr")
    assert len(rows) == 10
    for row in rows:
        numbers = [float(cell.inner_text()) for cell in row.query_selector_all("td")]
        assert abs(sum(numbers) - 1) < 0.003
    assert not page.is_visible("#columns"), "what needs scripts is not shown empty"


AGAIN = """
import json, sys
from mindref.study.page import write_page
write_page([json.load(open(sys.argv[1]))], sys.argv[2])
"""


def test_the_file_is_reproducible(tmp_path, file, trace):
    trace_path = tmp_path / "trace.json"
    trace_path.write_text(json.dumps(trace), encoding="utf-8")
    for seed, zone in (("1", "UTC"), ("77", "Pacific/Auckland")):
        out = tmp_path / f"{seed}.html"
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-c", AGAIN, str(trace_path), str(out)]
        subprocess.run(command, env=environment, check=True, cwd=tmp_path)
        assert out.read_bytes() == file.read_bytes()


def test_the_file_has_no_date_path_or_user_name(file):
    text = file.read_text(encoding="utf-8")
    readable = re.sub(r"[A-Za-z0-9+/=]{60,}", "", text)
    assert not re.search(r"\b20[12]\d-\d\d-\d\d\b", readable)
    assert not re.search(r"(^|[\s\"'(>])(/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\)", readable)
    assert str(Path.cwd()) not in readable
    name = getpass.getuser()
    assert name == "root" or not re.search(rf"\b{re.escape(name)}\b", readable)


def test_no_trace_or_too_many_derived_views_raise(tmp_path, trace):
    with pytest.raises(ConfigError, match="page: traces"):
        write_page([], tmp_path / "none.html")
    with pytest.raises(ConfigError, match="page: derived"):
        write_page([trace], tmp_path / "none.html", derived=[{}, {}])
    assert list(tmp_path.iterdir()) == []
