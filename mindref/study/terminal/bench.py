"""Variants: what public implementations do differently, run for the same user.

The bench itself is mindref.study.variants; here its cases are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mindref.study.terminal.compare import columns_of, measured, side_by_side
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import tiny
from mindref.study.trace import Tensor, Trace

if TYPE_CHECKING:
    from mindref.study.variants import Case


def variant_list(trace: Trace, at: int, columns: int) -> list[Line]:
    """Return the variants by name, those of the step on the screen first."""
    from mindref.study import variants

    here = [name for name in trace.steps[at].variants if name in variants.names()]
    lines = prose("What public implementations do differently. `v NAME` runs one.", columns)
    for name in [*here, *(other for other in variants.names() if other not in here)]:
        entry = variants.find(name)
        sign = ">" if name in here else " "
        lines += named(
            f"{sign} {name.ljust(34)}", entry.title, columns, "bold" if name in here else ""
        )
    if here:
        lines += prose("> belongs to the step on the screen", columns, "dim")
    return fitted(lines, columns)


def variant_view(
    trace: Trace, given: Any, name: str, columns: int, all_: bool = False
) -> list[Line]:
    """Return what a variant does to this user: the step on the screen in both, and the alarms.

    Raises ConfigError with the three closest names for a variant that there is not.
    """
    from mindref.study import variants

    variants.find(name)
    titles = trace.labels.get("item", [])
    known = titles if len(titles) == len(given.catalogue.rows) else None  # or only those served
    (case,) = variants.bench(given, [name], known)
    lines = [*head(case, columns), Line("")]
    lines += both_columns(trace, case, columns, all_)
    lines += [Line(""), *table(case, columns), Line(""), *alarms(case, columns)]
    return fitted(lines, columns)


def head(case: Case, columns: int) -> list[Line]:
    """Return what a variant does, and where it was seen."""
    entry, mistake = case.entry, case.entry.mistake
    lines = [Line(f" variant {entry.name}", "title"), *prose(entry.title, columns, "title")]
    facts = [("what", mistake.what), ("does", mistake.does), ("breaks", mistake.breaks)]
    for seen in entry.seen:
        note = f" ({seen.note})" if seen.note else ""
        facts.append(("seen", f"{seen.repository}, at commit {seen.commit} of {seen.date}{note}"))
    facts.append(("here", f"for both sides: {case.scene}" if case.scene else ""))
    return lines + [
        line for name, text in facts if text for line in named(name.ljust(6), text, columns)
    ]


LIST = ("v", "what else others do differently")
SHOWN = {
    "w": ("behaviour", "interest"),
    "h": ("interest",),
    "u": ("interest", "width"),
}


def both_columns(trace: Trace, case: Case, columns: int, all_: bool) -> list[Line]:
    """Return the first of weights, attention and interests that differs, of both sides."""
    name = next((name for name in SHOWN if name in case.differs), "")
    if not name:
        differ = " and ".join(case.differs)
        return prose(f"w, h and u are the same; what differs: {differ}", columns, "bold")
    ours, theirs = (np.asarray(getattr(side, name)) for side in (case.reference, case.variant))
    if name == "w":  # places that pad have no title
        ours, theirs = (x[case.reference.mask] for x in (ours, theirs))
    tensor = Tensor(name, SHOWN[name], ours, {})
    heads = ("reference", "variant")
    title = "w of the last round" if name == "w" else name
    return [
        Line(f" {title}, where it differs most", "bold"),
        *side_by_side(without_padding(trace), tensor, ours, theirs, heads, columns, all_),
    ]


def without_padding(trace: Trace) -> Trace:
    """Return a trace whose behaviours have titles for the real ones alone."""
    titles = trace.labels.get("behaviour", [])
    mask = trace.values.get("mask", [True] * len(titles))
    real = [title for title, there in zip(titles, mask, strict=True) if there]
    return Trace(trace.about, {**trace.labels, "behaviour": real}, ())


def table(case: Case, columns: int) -> list[Line]:
    """Return what was measured on both sides, and what it should be."""
    rows: list[tuple[str, ...]] = [("measured", "reference", "variant")]
    rows += [measured(m.name, m.reference, m.variant) for m in case.measured]
    head, *body = columns_of(rows, columns)
    lines = [head]
    for line, each in zip(body, case.measured, strict=True):
        lines.append(line)
        lines += prose(each.text, columns, "dim", indent=5) if each.text else []
    return lines


def alarms(case: Case, columns: int) -> list[Line]:
    """Return the invariants that no longer hold, or why none sees it; and what two runs show."""
    lines = named("no alarm", case.entry.silent, columns, "bad") if not case.alarms else []
    texts = dict.fromkeys(alarm.text for alarm in case.alarms)
    for text in texts:
        same = [alarm for alarm in case.alarms if alarm.text == text]
        worst = max(alarm.residual for alarm in same)
        off = f"(residual up to {tiny(worst)}, allowed {tiny(same[0].tolerance)})"
        where = ", ".join(alarm.step for alarm in same)
        lines += named("alarm", f"no longer true: {text}  {off}  at {where}", columns, "bad")
    for probe in case.probes:
        off = f"(residual {tiny(probe.residual)}, allowed {tiny(probe.tolerance)})"
        lines += named("alarm", f"no longer true: {probe.text}  {off}", columns, "bad")
    return lines


def leads(trace: Trace, name: str) -> list[tuple[str, str]]:
    """Return where to go from a variant: to the step that it does otherwise."""
    from mindref.study import variants

    kind = variants.find(name).step
    found = [step.id for step in trace.steps if step.kind == kind]
    return [*((f"g {each}", "the step that it does otherwise") for each in found[:1]), LIST]
