"""Make the tables and the picture of specs/evidence.md from runs of the present code.

    MINDREF_DATA=FOLDER python -m tests.measure.evidence RUNS [TABLE...]

Each table of the page stands below its commands, between `<!-- table: NAME -->` and `<!-- end -->`.
The script runs the commands of each TABLE (default: all) in FOLDER, which has the data sets that
tests/README.md names, and writes the table. Run number N of a table is stored in RUNS/TABLE/N. A
training whose result is there is not run again, and a stopped script goes on where it stopped.

The first command of a table of `mindref compare` makes its rows. Each further one is the same with
`--opponent NAME  # MODEL`, and makes a line with the difference of the two.
"""

from __future__ import annotations

import datetime
import html
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mindref.bench.machine import machine_facts
from mindref.experiments.arms import describe_settings
from mindref.experiments.tables import difference_cells, estimate_text
from tests import spec_pages
from tests.runs import environment

PAGE = spec_pages.SPECS / "evidence.md"
PICTURED = "settings"  # the table that is also a picture
PICTURE = spec_pages.SPECS / "pictures" / "setting_effects.svg"
BLOCK = re.compile(r"<!-- table: (\S+) -->\n\n```sh\n(.+?)```\n\n.*?<!-- end -->", re.S)
RESULTS = {"compare": "compare.json", "ablate": "ablate.json", "train": "report.json"}
BASELINES = ("item_knn", "own_counts")  # columns of a table of trainings
STAR = 0.05  # the p below which an effect has a star
Result = dict[str, Any]


def main(arguments: Sequence[str]) -> None:
    """Write the tables that the arguments name."""
    runs, *wanted = arguments
    text = PAGE.read_text(encoding="utf-8")
    unknown = set(wanted) - {name for name, _ in BLOCK.findall(text)}
    if unknown:
        raise SystemExit(f"evidence.md has no table {', '.join(sorted(unknown))}")
    for name, commands in BLOCK.findall(text):
        if not wanted or name in wanted:
            results = run_commands(Path(runs, name), commands)
            block = f"<!-- table: {name} -->\n\n```sh\n{commands}```\n\n{make_table(results)}"
            block += f"\n\n{measured_on(results)}\n\n<!-- end -->"
            start = text.index(f"<!-- table: {name} -->")
            end = text.index("<!-- end -->", start)
            text = text[:start] + block + text[end + len("<!-- end -->") :]
            PAGE.write_text(text, encoding="utf-8")
            if name == PICTURED:
                PICTURE.write_text(draw_effects(results), encoding="utf-8")
            print(name)


def run_commands(folder: Path, commands: str) -> list[Result]:
    """Return the results of commands, of which those without a result are run."""
    lines = commands.strip().replace("\\\n", " ").split("\n")
    results = []
    for number, line in enumerate(lines):
        words = shlex.split(line, comments=True)
        is_comparison = words[1] == "compare"  # it does not train its finished runs again
        out = folder / ("0" if is_comparison else str(number))
        stored = out / RESULTS[words[1]]
        if is_comparison or not stored.exists():
            command = [sys.executable, "-m", *words, "--out", str(out)]
            subprocess.run(
                command, check=True, cwd=os.environ["MINDREF_DATA"], env=environment(), text=True
            )
        result = json.loads(stored.read_text(encoding="utf-8"))
        own = {"words": words, "comment": line.partition("#")[2].strip()}
        results.append({**own, "finished": stored.stat().st_mtime, **result})
    return results


def make_table(results: list[Result]) -> str:
    """Return the table of results, by the kind of their commands."""
    kind = results[0]["words"][1]
    if kind == "compare":
        return compare_table(*results)
    if kind == "train":
        return training_table(results)
    return effect_table(results)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """Return a table in Markdown whose first `texts` columns are no numbers."""
    lines = [head, [*["---"] * texts, *["--:"] * (len(head) - texts)], *rows]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return re.sub(r"(?<![\d.])0(\.\d{4})", r"\1", text)


def compare_table(result: Result, *others: Result) -> str:
    """Return the table of `mindref compare`: HR@10 and HR@50, and differences from the opponent.

    Below it, a line for each of `others`, which have another opponent, has one more difference.
    """
    rows = []
    for arm in result["arms"]:
        selected = describe_settings(arm["trials"][arm["chosen"]]["settings"]) or "start"
        estimates = [estimate_text(arm["metrics"][f"hit_rate@{n}"]) for n in (10, 50)]
        rows.append((arm["label"], selected, *estimates, *differences_of(arm)))
    cases = " to ".join(f"{count:,}" for count in sorted(set(result["data"]["cases"])))
    head = ("model", "selected", "HR@10", "HR@50", "HR@10 minus opponent", "HR@50 minus opponent")
    parts = [
        f"Opponent: {result['opponent']}. {cases} test cases.",
        markdown((*head, "p"), rows, texts=2),
        "\n".join(map(difference_line, others)),
    ]
    return "\n\n".join(filter(None, parts))


def differences_of(arm: Result) -> tuple[str, str, str]:
    """Return the differences of HR@10 and HR@50 from the opponent, and the p of the second."""
    against = arm["against"] or {}
    ten, fifty = (difference_cells(against.get(f"hit_rate@{n}")) for n in (10, 50))
    return ten[0], fifty[0], fifty[2]


def difference_line(result: Result) -> str:
    """Return the difference of the model of the comment from the opponent."""
    name = result["comment"]
    ten, fifty, p = differences_of(next(arm for arm in result["arms"] if arm["label"] == name))
    text = f"- `{name}` minus `{result['opponent']}`: HR@10 {ten}, HR@50 {fifty}, p {p}."
    return re.sub(r"(?<![\d.])0(\.\d{4})", r"\1", text)


def effect_table(results: list[Result]) -> str:
    """Return the table of `mindref ablate`: the effect of each arm on HR@50 on each log.

    The base of a study stands in parentheses after its name. A line below has the HR@50 of bases.
    """
    rows: list[Sequence[str]] = []
    bases: dict[str, list[str]] = {}
    for studies in zip(*(result["studies"] for result in results), strict=True):
        name, base = studies[0]["name"], studies[0]["base"]
        for arms in zip(*(study["arms"] for study in studies), strict=True):
            if arms[0]["label"] == base:
                values = [f"{arm['metrics']['hit_rate@50']['value']:.4f}" for arm in arms]
                bases.setdefault(", ".join(values), []).append(name)
            else:
                rows.append((f"{name} ({base})", arms[0]["label"], *map(effect_cell, arms)))
    table = markdown(("study (base)", "arm", *map(log_name, results)), rows, texts=2)
    most = max(bases.values(), key=len)
    named = ((", ".join(n) if n != most else "most studies", x) for x, n in bases.items())
    lines = "; ".join(f"of {names} {values}" for names, values in named)
    return f"{table}\n\n" + re.sub(r"(?<![\d.])0(\.\d{4})", r"\1", f"HR@50 of the base: {lines}.")


def effect_cell(arm: Result) -> str:
    """Return the effect of an arm, with a star if it is significant."""
    if arm["metrics"] is None:
        return "diverged"
    effect = arm["against"]["hit_rate@50"]
    return difference_cells(effect)[0] + ("*" if effect["p_holm"] < STAR else "")


def training_table(results: list[Result]) -> str:
    """Return the table of `mindref train`: a row for each log, a column for each comment.

    A comment is "LOG: COLUMN". The baselines have the values of the first report of the log.
    """
    rows: dict[str, dict[str, str]] = {}
    for result in results:
        log, _, column = result["comment"].partition(": ")
        row, tested = rows.setdefault(log, {}), result["metrics"]["test"]
        row[column] = training_cell(tested["model"])
        for name in BASELINES:
            if name in tested:
                row.setdefault(name, training_cell(tested[name]))
    columns = list(dict.fromkeys(result["comment"].partition(": ")[2] for result in results))
    columns += BASELINES
    cells = ((log, *(row.get(column, "") for column in columns)) for log, row in rows.items())
    return markdown(("log", *columns), cells, texts=1)


def training_cell(metrics: Result) -> str:
    """Return HR@10, NDCG@10 and HR@50."""
    names = ("hit_rate@10", "ndcg@10", "hit_rate@50")
    return ", ".join(f"{metrics[name]['value']:.4f}" for name in names)


def log_name(result: Result) -> str:
    """Return the name of the log of a command: its comment."""
    return str(result["comment"])


def measured_on(results: list[Result]) -> str:
    """Return the date of the last result, and the machine."""
    day = datetime.date.fromtimestamp(max(result["finished"] for result in results))
    facts = machine_facts()
    return f"Measured on: {day}, {facts['cpu']}, {facts['cores']} cores."


ROW, LEFT, WIDTH, GAP, TOP = 17, 190, 220, 30, 56  # px


def draw_effects(results: list[Result]) -> str:
    """Return the picture of the effects: a panel for each log, a line for each arm."""
    arms = [
        [
            (f"{study['name']}: {arm['label']}", arm["against"]["hit_rate@50"])
            for study in result["studies"]
            for arm in study["arms"]
            if arm["against"] is not None
        ]
        for result in results
    ]
    height = TOP + ROW * len(arms[0]) + 12
    parts = []
    for row, (label, _) in enumerate(arms[0]):
        y = TOP + ROW * row
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" class="label">{html.escape(label)}</text>')
    for number, (result, rows) in enumerate(zip(results, arms, strict=True)):
        parts += draw_panel(LEFT + number * (WIDTH + GAP), log_name(result), [e for _, e in rows])
    width = LEFT + len(results) * (WIDTH + GAP)
    return HEAD.format(width=width, height=height) + "\n".join(parts) + "\n</svg>\n"


def draw_panel(left: int, title: str, effects: list[Result]) -> list[str]:
    """Return the shapes of one panel, whose scale ends at the largest bound."""
    bound = max(max(abs(effect["low"]), abs(effect["high"])) for effect in effects)

    def x(value: float) -> float:
        return round(left + WIDTH * (value / bound + 1) / 2, 1)

    bottom = TOP + ROW * len(effects) - 6
    shapes = [
        f'<text x="{x(0)}" y="18" class="title">{html.escape(title)}</text>',
        f'<text x="{left}" y="38">{-bound:+.3f}</text>',
        f'<text x="{left + WIDTH}" y="38" class="label">{bound:+.3f}</text>',
        f'<line x1="{x(0)}" y1="{TOP - 12}" x2="{x(0)}" y2="{bottom}" class="axis"/>',
    ]
    for row, effect in enumerate(effects):
        y = TOP + ROW * row
        kind = "shown" if effect["p_holm"] < STAR else "open"
        shapes.append(
            f'<line x1="{x(effect["low"])}" y1="{y}" x2="{x(effect["high"])}" y2="{y}"'
            f' class="{kind}"/>'
        )
        shapes.append(f'<circle cx="{x(effect["difference"])}" cy="{y}" r="3.5" class="{kind}"/>')
    return shapes


HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-labelledby="title desc">
<title id="title">Effects of settings on HR@50</title>
<desc id="desc">For each arm of each study and each log, the difference of HR@50 from the base of \
the study with its interval. The table below has the numbers.</desc>
<style>
svg{{font:12px Arial,Helvetica,"DejaVu Sans",sans-serif;--back:#fff;--ink:#1f2328;--dim:#8c959f;\
--blue:#0b5cad}}
@media (prefers-color-scheme:dark){{
svg{{--back:#14181d;--ink:#e6edf3;--dim:#6e7781;--blue:#6cb6ff}}}}
rect{{fill:var(--back)}}text{{fill:var(--ink)}}.label{{text-anchor:end}}
.title{{text-anchor:middle;font-weight:bold}}.axis{{stroke:var(--dim)}}
.shown{{stroke:var(--blue);fill:var(--blue);stroke-width:2}}
.open{{stroke:var(--dim);fill:var(--back);stroke-width:2}}
</style>
<rect width="{width}" height="{height}"/>
"""


if __name__ == "__main__":
    main(sys.argv[1:])
