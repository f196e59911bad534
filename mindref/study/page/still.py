"""What the page shows where scripts are off: the final routing table and the steps as text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from mindref.study.page.pack import decoded


def still(trace: Mapping[str, Any]) -> str:
    """Return HTML for a browser without scripts."""
    about = trace["about"]
    head = (
        '<main class="still"><h2>Scripts are off</h2><p>So nothing can be chosen or changed here. '
        f"User {isolated(about['user'])}, target {isolated(about['target'])}.</p>"
    )
    return head + table(trace) + steps(trace) + "</main>"


def table(trace: Mapping[str, Any]) -> str:
    """Return the coupling weights of the last round as a table with titles."""
    found = [x for step in trace["steps"] for x in step["outputs"] if x["name"].startswith("w[")]
    if not found:
        return ""
    last = found[-1]
    weights = np.frombuffer(decoded(last), "<f8").reshape(last["shape"])
    columns = "".join(f'<th scope="col">{isolated(x)}</th>' for x in names(trace, last, 1))
    rows = "".join(
        f'<tr><th scope="row">{isolated(name)}</th>'
        + "".join(f"<td>{x:.3f}</td>" for x in row)
        + "</tr>"
        for name, row in zip(names(trace, last, 0), weights, strict=True)
    )
    caption = f"<caption>Coupling weights of the last round, {escape(last['name'])}</caption>"
    return (
        f"<table>{caption}<thead><tr><td></td>{columns}</tr></thead><tbody>{rows}</tbody></table>"
    )


def names(trace: Mapping[str, Any], tensor: Mapping[str, Any], axis: int) -> list[str]:
    """Return the labels of one axis of a tensor, numbers where there are none."""
    count = tensor["shape"][axis]
    known = trace["labels"].get(tensor["axes"][axis], [])
    return [str(known[k]) if k < len(known) else str(k + 1) for k in range(count)]


def steps(trace: Mapping[str, Any]) -> str:
    """Return the steps as a list of titles and equations."""
    items = "".join(
        f"<li><b>{escape(step['title'])}</b> <code>{escape(step['equation']['plain'])}</code></li>"
        for step in trace["steps"]
    )
    return f"<h3>The steps</h3><ol>{items}</ol>"


def isolated(text: Any) -> str:
    """Return a title that keeps its own direction to itself."""
    return f"<bdi>{escape(str(text)) or '(no title)'}</bdi>"
