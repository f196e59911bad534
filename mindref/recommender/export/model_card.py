"""The model card of exported vectors: README.md with front matter for the Hugging Face Hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mindref.models.registry import BY_NAME

CARD = """\
---
library_name: mindref
# license: the licence of these vectors, which depends on the licence of the data
tags:
{tags}
{metrics}---

# Vectors of a {model} model

{summary}. Trained with mindref {version} for {step:,} steps.
{items:,} items, vectors of width {width}.

## Data

Fill in: the name, the source and the licence of the data, and whether user ids may be published.

## Files

{files}

All vectors are float32. `export.json` has the sha256 of every file except this one.

## Scores

{scores}

## Evaluation

{evaluation}

## Settings

```json
{settings}
```
"""

FILES = {
    "items": "{count:,} items that the model can recommend: id, title, number of training"
    " interactions, vector",
    "interests": "{count:,} interests of {users:,} users: user, number of the interest, vector",
    "histories": "{count:,} behaviours of the users, oldest first: user, item",
}
"""Table -> description; the count is of the rows."""
MAX = (
    "The score of an item is its largest inner product with an interest of the user. Search with"
    " every interest of the user, unite the results, and keep the maximum of each item."
)
SUM = (
    "The score of an item is the sum of its inner products with the interests of the user. Add the"
    " interests of the user, and search once with the sum."
)
NORMALISED = " All vectors have length one, so the inner product is the cosine."
UNSEEN = " Leave out the items of the user's history: the evaluation left them out."
SEEN = " Items of the user's history may be recommended: the evaluation did not leave them out."


def model_card(facts: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Return the card of an export with this export.json and the report of its run, or {}."""
    settings = facts["settings"]
    metrics = report.get("metrics", {}).get("test", {})
    tags = ["recommendation", "retrieval", "multi-interest", settings["model"]]
    items, width = facts["items"]["shape"]
    summary = BY_NAME[settings["model"]].summary
    return CARD.format(
        tags=yaml_list(tags),
        metrics=f"metrics:\n{yaml_list(metrics['model'])}\n" if metrics else "",
        model=settings["model"],
        summary=summary[0].upper() + summary[1:],
        version=facts["versions"]["mindref"],
        step=facts["run"]["step"],
        items=items,
        width=width,
        files=file_list(facts),
        scores=score_text(facts),
        evaluation=evaluation_text(report, metrics),
        settings=json.dumps(settings, indent=2),
    )


def yaml_list(values: Iterable[str]) -> str:
    """Return names as a YAML list; JSON quotes are YAML quotes."""
    return "\n".join(f"- {json.dumps(value)}" for value in values)


def file_list(facts: Mapping[str, Any]) -> str:
    """Return a list of the files with a description of their rows."""
    users = facts.get("users", {"users": 0, "interests": 0, "behaviours": 0})
    counts = {
        "items": facts["items"]["shape"][0],
        "interests": users["interests"],
        "histories": users["behaviours"],
    }
    lines = []
    for table, text in FILES.items():
        names = [name for name in facts["files"] if name.partition(".")[0] == table]
        if names:
            described = text.format(count=counts[table], users=users["users"])
            lines.append(f"- {', '.join(f'`{name}`' for name in names)}: {described}")
    return "\n".join(lines)


def score_text(facts: Mapping[str, Any]) -> str:
    """Return how the score of an item is computed from the vectors."""
    score = facts["score"]
    text = MAX if score["interests"] == "max" else SUM
    return text + NORMALISED * score["normalised"] + (UNSEEN if facts["exclude_seen"] else SEEN)


def evaluation_text(report: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return the metrics of the report as a table: the model with intervals, and baselines."""
    if not metrics:
        return "The run has no report."
    columns = list(metrics)
    lines = [
        f"{report['cases']:,} test cases, each ranks the whole catalogue; in brackets 95 %"
        " bootstrap intervals over the users.\n",
        f"| metric | {' | '.join(columns)} |",
        "|---|" + "--:|" * len(columns),
    ]
    for name in metrics["model"]:
        cells = [metric_text(metrics[column].get(name)) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def metric_text(metric: Mapping[str, float] | None) -> str:
    """Return a value with its interval, "" for a metric that was not computed."""
    if metric is None:
        return ""
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"
