"""P10, P11 and the other views: what they show is what Python computed."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.study.page.pack import stored
from tests.study.page.reading import Reader
from tests.study.page.world import given, tensors, traced

pytestmark = pytest.mark.slow

Open = Callable[..., Reader]


@pytest.fixture
def page(opened: Open, rich: Path) -> Iterator[Reader]:
    found = opened(rich, "#ask=0", viewport={"width": 1440, "height": 900})
    yield found
    assert found.errors == []


def numbers(page: Reader, selector: str, attribute: str) -> list[float]:
    """Return an attribute of some elements as numbers."""
    script = "(all, name) => all.map(x => Number(x.getAttribute(name)))"
    found: list[float] = page.page.eval_on_selector_all(selector, script, attribute)
    return found


def test_p2_a_page_with_all_views_is_small(rich: Path) -> None:
    assert rich.stat().st_size <= 400_000


def test_p10_the_rows_of_the_ledger_add_up(
    page: Reader, extras: dict[str, Any], trace: dict[str, Any]
) -> None:
    page.at(view="ledger")
    ledger = extras["ledger"]["m"]
    errors = numbers(page, "#tab [data-fd]", "data-fd")
    assert len(errors) == len(ledger["rows"]) == 5
    assert max(errors) < 1e-6
    assert numbers(page, "#tab [data-residual]", "data-residual")[0] < 1e-9
    whole = np.frombuffer(base64.b64decode(tensors(trace)["d_m"]["data"]), "<f8")
    shown = np.array(numbers(page, "#tab figure td[data-at]", "data-value"))
    assert np.abs(shown - whole).max() <= 1e-9 * np.abs(whole).max()


def test_p10_the_last_path_alone_is_stop_gradient(page: Reader) -> None:
    page.at(view="ledger")
    for box in page.page.query_selector_all("#tab input[type=checkbox]")[1:]:
        name = box.get_attribute("aria-label")
        page.page.uncheck(f"#tab input[aria-label='{name}']")
    assert "This is what stop-gradient trains" in page.page.inner_text("#tab .sum-of")
    last = tensors(traced(given(routing_gradient="last")))["d_m"]
    wanted = np.frombuffer(base64.b64decode(last["data"]), "<f8")
    shown = np.array(numbers(page, "#tab figure td[data-at]", "data-value"))
    assert np.abs(shown - wanted).max() <= 1e-12
    page.page.click("text=All paths")
    assert "This is what stop-gradient trains" not in page.page.inner_text("#tab .sum-of")


@pytest.mark.parametrize("by", ["S", "e"])
def test_p10_the_other_ledgers_hold_too(page: Reader, by: str) -> None:
    page.at(view="ledger")
    page.page.select_option("#tab select", by)
    assert max(numbers(page, "#tab [data-fd]", "data-fd")) < 1e-6
    assert numbers(page, "#tab [data-residual]", "data-residual")[0] < 1e-9


def test_p11_every_variant_differs_and_has_its_alarms(page: Reader, extras: dict[str, Any]) -> None:
    assert len(extras["variants"]) >= 8
    for case in extras["variants"]:
        page.at(view="bench", variant=case["name"])
        assert page.page.get_attribute("#tab article", "data-variant") == case["name"]
        sides = []
        for side, name in (("reference", "reference"), ("variant", "variant")):
            box = f"#tab [data-side={side}]"
            outcome = case[name] or extras["reference"]
            values = np.frombuffer(base64.b64decode(outcome["w"]["data"]), "<f8")
            cells = numbers(page, f"{box} td[data-at]", "data-value")
            places = [int(x) for x in numbers(page, f"{box} td[data-at]", "data-at")]
            assert cells == [float(values[at]) for at in places], case["name"]
            sides.append((cells, page.page.inner_text(box)))
        text = page.page.inner_text("#tab")
        if case["differs"]:
            measured = any(x["reference"] != x["variant"] for x in case["measured"])
            assert sides[0] != sides[1] or measured, case["name"]
        else:
            assert "This user does not show it" in text
        alarms = page.page.eval_on_selector_all(
            "#tab [data-alarm]", "all => all.map(x => [x.dataset.alarm, x.dataset.text])"
        )
        assert sorted(alarms) == sorted([a["step"], a["text"]] for a in case["alarms"])
        assert all(f"{x['repository']} at commit {x['commit']}" in text for x in case["seen"])
    assert page.errors == []


def test_a_step_leads_to_its_variants(page: Reader, trace: dict[str, Any]) -> None:
    step = next(s for s in trace["steps"] if s["kind"] == "routing.weights")
    page.at(step=step["id"])
    page.page.click(f"#step .sources button >> text={step['variants'][0]}")
    assert page.page.get_attribute("#tab article", "data-variant") == step["variants"][0]


def test_the_curve_has_a_table_with_its_numbers(page: Reader, extras: dict[str, Any]) -> None:
    page.at(view="curve")
    for curve in extras["curves"]:
        page.page.select_option("#tab select", curve["tensor"])
        rows = page.page.query_selector_all("#tab tbody tr")
        assert len(rows) == len(curve["h"])
        first = rows[0].inner_text().split("\t")[1].replace("−", "-")
        assert math.isclose(float(first), curve["float64"][0], rel_tol=0.06)
    assert page.page.query_selector("#tab svg[role=img]").get_attribute("aria-label")


def test_every_ambiguity_has_its_readings_and_one_of_them_is_ours(
    page: Reader, extras: dict[str, Any]
) -> None:
    page.at(view="ambiguities")
    for card in extras["ambiguities"]:
        text = page.page.inner_text(f"#tab [data-card='{card['name']}']")
        assert card["question"] in text
        assert card["says"] in text
        assert all(reading["name"] in text for reading in card["readings"])
        assert text.count("taken here") == 1


def test_retrieval_shows_each_interest_and_the_single_vector(
    page: Reader, extras: dict[str, Any]
) -> None:
    page.at(view="retrieval")
    text = page.page.inner_text("#tab")
    case = extras["case"]
    for strip in (*case["strips"], case["single"]):
        assert strip["name"] in text
        assert strip["items"][0]["title"] in text
    assert f"place {case['place']} of" in text


def test_replay_draws_again_and_shows_rounds_one_by_one(page: Reader) -> None:
    page.at(view="replay")
    page.page.click("text=Draw the logits again")
    page.page.click("text=Draw the logits again")
    assert "draw 2" in page.page.inner_text("#tab")
    page.page.focus("#tab input[type=range]")
    page.page.keyboard.press("ArrowLeft")
    assert "rounds 1 to 2" in page.page.inner_text("#tab")
    assert page.page.inner_text("#tab tbody tr >> nth=0").count("·") == 4


def test_the_map_says_how_much_it_shows_and_has_a_table(page: Reader) -> None:
    page.at(view="map")
    assert "% of the variance" in page.page.inner_text("#tab")
    assert len(page.page.query_selector_all("#tab svg circle")) == 10
    assert len(page.page.query_selector_all("#tab tbody tr")) >= 10


APART = """() => {
  const names = '#tab svg text.capsule-name, #tab svg text.vote-number';
  const boxes = [...document.querySelectorAll(names)]
    .map(one => [one.textContent, one.getBBox()]);
  const over = ([, a], [, b]) => Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > 2
    && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > 4;
  return boxes.flatMap((a, k) => boxes.slice(k + 1).filter(b => over(a, b)).map(b => a[0] + b[0]));
}"""


def test_the_map_states_its_factor_and_keeps_names_apart(page: Reader) -> None:
    page.at(view="map")
    text = page.page.inner_text("#tab")
    factor = re.search(r"drawn ([\d.]+) times as long", text)
    assert factor is not None
    assert float(factor[1]) > 1
    assert f"× {factor[1]}" in text  # the table says so too
    assert page.page.evaluate(APART) == []
    assert len(page.page.query_selector_all("#tab svg .capsule-name")) == 3


def test_exercises_lead_to_their_step(page: Reader) -> None:
    page.at(view="exercises")
    assert "mindref study --exercise squash" in page.page.inner_text("#tab")
    assert "begun" in page.page.inner_text("#tab")
    page.page.click("#tab tbody button")
    assert page.step().startswith("routing[1]")


def test_a_view_without_data_says_how_to_get_it(opened: Open, file: Path) -> None:
    page = opened(file, "#ask=0")
    for view in ("retrieval", "ledger", "bench", "curve", "ambiguities"):
        page.at(view=view)
        assert "mindref study --html" in page.page.inner_text("#tab"), view


def test_a_number_says_where_it_is_used_in_its_own_step(page: Reader) -> None:
    page.at(step="routing[1].capsules")
    page.page.click("#step figure[data-tensor='across[1]'] td[data-at]")
    used = page.page.inner_text("#inspector .next")
    assert "in its own step, for v[1]" in used
    assert "by no step" not in used


def test_p4_a_flipped_byte_of_another_view_is_seen(
    opened: Open, rich: Path, extras: dict[str, Any], tmp_path: Path
) -> None:
    data = extras["ledger"]["m"]["rows"][0]["data"]["data"]
    raw = bytearray(base64.b64decode(data))
    raw[0] ^= 1
    now, after = (json.dumps(stored(x)[0]) for x in (data, base64.b64encode(raw).decode()))
    bad = tmp_path / "bad.html"
    bad.write_text(rich.read_text(encoding="utf-8").replace(now, after), encoding="utf-8")
    assert opened(bad).page.get_attribute("html", "data-selfcheck") == "fail"


@pytest.mark.parametrize("view", ["ledger", "curve", "bench", "retrieval", "ambiguities"])
def test_p9_no_recorded_number_passes_for_an_edited_one(page: Reader, view: str) -> None:
    page.at(view=view)
    assert page.page.query_selector("#tab > .badge") is None
    page.at(view=view, edits="S:2;drop:1")
    assert "your edits do not reach it" in page.page.inner_text("#tab > .badge")
    gone = page.page.query_selector("#tab table") is None
    assert gone == (view in ("ledger", "curve")), "recorded gradients are hidden"
