"""The page without scripts: the final coupling weights and the list of steps."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np


def render_noscript(trace: Mapping[str, Any]) -> str:
    """Return the HTML for a browser without scripts."""
    about = trace["metadata"]
    head = (
        '<main class="noscript"><h2>Scripts are disabled</h2>'
        "<p>Without scripts, nothing can be selected or edited. "
        f"User {isolate_direction(about['user'])}, target {isolate_direction(about['target'])}.</p>"
    )
    return head + render_routing_table(trace) + render_step_list(trace) + "</main>"


def render_routing_table(trace: Mapping[str, Any]) -> str:
    """Return the coupling weights of the last iteration as a table."""
    weight_tensors = [
        x for step in trace["steps"] for x in step["outputs"] if x["name"].startswith("w[")
    ]
    if not weight_tensors:
        return ""
    last = weight_tensors[-1]
    weights = np.frombuffer(b64decode(last["data"]), "<f8").reshape(last["shape"])
    columns = "".join(
        f'<th scope="col">{isolate_direction(x)}</th>' for x in position_labels(trace, last, 1)
    )
    rows = "".join(
        f'<tr><th scope="row">{isolate_direction(name)}</th>'
        + "".join(f"<td>{x:.3f}</td>" for x in row)
        + "</tr>"
        for name, row in zip(position_labels(trace, last, 0), weights, strict=True)
    )
    caption = f"<caption>Coupling weights of the last iteration, {escape(last['name'])}</caption>"
    return (
        f"<table>{caption}<thead><tr><td></td>{columns}</tr></thead><tbody>{rows}</tbody></table>"
    )


def position_labels(trace: Mapping[str, Any], tensor: Mapping[str, Any], axis: int) -> list[str]:
    """Return the labels of one axis of a tensor; numbers without labels."""
    count = tensor["shape"][axis]
    labels = trace["labels"].get(tensor["axes"][axis], [])
    return [str(labels[k]) if k < len(labels) else str(k + 1) for k in range(count)]


def render_step_list(trace: Mapping[str, Any]) -> str:
    """Return the steps as a list of titles and equations."""
    items = "".join(
        f"<li><b>{escape(step['title'])}</b> <code>{escape(join_formulas(step))}</code></li>"
        for step in trace["steps"]
    )
    return f"<h3>The steps</h3><ol>{items}</ol>"


def join_formulas(step: Mapping[str, Any]) -> str:
    """Return the formulas of a step as one line."""
    return "; ".join(step["equation"]["plain"].splitlines())


def isolate_direction(text: Any) -> str:
    """Return a title in a bdi element, so that its text direction affects no other text."""
    return f"<bdi>{escape(str(text)) or '(no title)'}</bdi>"
