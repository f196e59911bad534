"""A page as a test reads it: what is asked of the network, errors, cells, steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

CELLS = """() => [...document.querySelectorAll('#step .results figure.tensor')].map(figure => [
  figure.dataset.tensor,
  [...figure.querySelectorAll('td[data-index]')].map(td => [
    Number(td.dataset.index), td.dataset.value, td.firstChild.textContent])])"""
LEAVES = "#step .results .leaves button:not([disabled]):has-text('later')"


class Reader:
    """An opened page; errors and requests are kept for the test to look at."""

    def __init__(self, page: Any, path: Path, place: str = "") -> None:
        self.page, self.path = page, path
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri() + place)
        page.wait_for_selector("body[data-ready], #selfcheck.fails")

    def selfcheck(self) -> str:
        outcome: str = self.page.get_attribute("html", "data-selfcheck")
        return outcome

    def open_details(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(x => x.open = true)")

    def reload(self) -> None:
        self.page.reload()
        self.page.wait_for_selector("body[data-ready]")

    def at(self, **place: Any) -> None:
        """Go to a place by its address, as a link would."""
        self.page.evaluate("hash => { location.hash = hash }", urlencode({"ask": 0} | place))
        self.page.evaluate("() => new Promise(done => setTimeout(done))")

    def steps(self) -> list[str]:
        """Return the ids of all steps in the order of the list."""
        ids: list[str] = self.page.eval_on_selector_all(
            "#step-list button[data-step]", "all => all.map(one => one.dataset.step)"
        )
        return ids

    def step(self) -> str:
        step_id: str = self.page.inner_text("#step .position code")
        return step_id

    def cells(self) -> dict[str, dict[int, tuple[str, str]]]:
        """Return of each tensor of the step, by flat place: the value in full, and as shown."""
        out: dict[str, dict[int, tuple[str, str]]] = {}
        self.open_details()  # folded tables have pages, too
        while True:
            for name, cells in self.page.evaluate(CELLS):
                out.setdefault(name, {}).update({at: (full, text) for at, full, text in cells})
            later = self.page.query_selector_all(LEAVES)
            if not later:
                return out
            later[0].click()

    def text(self) -> str:
        text: str = self.page.inner_text("#step")
        return text
