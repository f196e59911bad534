"""Variants: what public implementations do differently, run for the same user.

The bench itself is mindref.study.variants; here its cases are told.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.study.terminal.compare import columns_of, measured, side_by_side
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import tiny
from mindref.study.trace import Tensor, Trace


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
    (case,) = variants.bench(given, [name])
    lines = [*head(case, columns), Line("")]
    lines += both_columns(trace, case, columns, all_)
    lines += [Line(""), *table(case, columns), Line(""), *alarms(case, columns)]
    return fitted(lines, columns)


def head(case: Any, columns: int) -> list[Line]:
    """Return what a variant does, and where it was seen."""
    entry, mistake = case.entry, case.entry.mistake
    lines = [Line(f" variant {entry.name}", "title"), *prose(entry.title, columns, "title")]
    lines += [*prose(mistake.what, columns), *prose(mistake.does, columns)]
    lines += named("breaks", mistake.breaks, columns)
    for seen in entry.seen:
        note = f" ({seen.note})" if seen.note else ""
        text = f"{seen.repository}, at commit {seen.commit} of {seen.date}{note}"
        lines += named("seen", text, columns)
    here = named("here", f"for both sides: {case.scene}", columns)
    return lines + (here if case.scene else [])


SHOWN = {
    "w": ("behaviour", "interest"),
    "h": ("interest",),
    "u": ("interest", "width"),
}


def both_columns(trace: Trace, case: Any, columns: int, all_: bool) -> list[Line]:
    """Return the first of weights, attention and interests that differs, of both sides."""
    name = next((name for name in SHOWN if name in case.differs), "")
    if not name:
        return prose("w, h and u are the same: " + ", ".join(case.differs) + " differ", columns)
    ours, theirs = (np.asarray(getattr(side, name)) for side in (case.reference, case.variant))
    if name == "w":  # places that pad have no title
        ours, theirs = (x[case.reference.mask] for x in (ours, theirs))
    tensor = Tensor(name, SHOWN[name], ours, {})
    heads = ("reference", "variant")
    title = f"{name} of the last round" if name == "w" else name
    return [
        Line(f" {title}, where it differs most", "bold"),
        *side_by_side(trace, tensor, ours, theirs, heads, columns, all_),
    ]


def table(case: Any, columns: int) -> list[Line]:
    """Return what was measured on both sides, and what it should be."""
    rows = [("measured", "reference", "variant")]
    rows += [measured(m.name, m.reference, m.variant) for m in case.measured]
    head, *body = columns_of(rows, columns)
    lines = [head]
    for line, each in zip(body, case.measured, strict=True):
        lines.append(line)
        lines += prose(each.text, columns, "dim", indent=5) if each.text else []
    return lines


def alarms(case: Any, columns: int) -> list[Line]:
    """Return the invariants that no longer hold, or why none sees it; and what two runs show."""
    lines = named("no alarm", case.entry.silent, columns, "bad") if not case.alarms else []
    for word, found in (("alarm", case.alarms), ("and", case.probes)):
        for each in found:
            where = "" if each.step == "probe" else f"{each.step}: "
            off = f"residual {tiny(each.residual)}, allowed {tiny(each.tolerance)}"
            lines += named(word, f"no longer true, {where}{each.text}  ({off})", columns, "bad")
    return lines
