"""What has changed since another judgement, and whose change it was: the suite's or the backend's.

Both are plain values in the form of `schema.json`. A backend that fails where it passed has not
become worse if the rule was rewritten or the tolerance tightened in between.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mindref.conformance import versions
from mindref.conformance.report.as_json import FORMAT, schema
from mindref.errors import ConfigError, say

Judged = dict[str, Any]
Row = dict[str, Any]
BAD = ("failed", "blocked", "expected")

TODO = "give one that --output has written"
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": int | float,
    "null": type(None),
}
"""Type in a JSON Schema -> what json makes of it."""

WHYS = (
    "your regression",
    "tightened tolerance",
    "changed rule",
    "changed check",
    "changed suite",
    "other examples",
    "new rule",
    "new check",
    "still fails",
    "no longer claimed",
    "no longer judged",
    "newly claimed",
    "newly judged",
    "mended",
)
"""Whose change it was, or what it is, the most telling first."""


class Change(NamedTuple):
    """One check that is not as it was."""

    check: str
    precision: str
    was: str  # a status, "" where it was not judged
    now: str
    why: str


def read(path: Path) -> Judged:
    """Return an older judgement. Raises ConfigError for what is none, or of another protocol."""
    where, expected = f"--diff {path}", "a report of mindref conform --json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(say(where, expected, error.strerror, TODO)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(say(where, expected, "a file that is no text", TODO)) from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        got = f"a text that is no JSON: {error}" if text.strip() else "an empty file"
        raise ConfigError(say(where, expected, got, TODO)) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ConfigError(say(where, expected, "JSON of another kind", TODO))
    protocol = str(found.get("protocol"))
    if protocol.split(".")[0] != versions.PROTOCOL.split(".")[0]:
        todo = "judge again with this version"
        raise ConfigError(say(where, f"protocol {versions.PROTOCOL}", protocol, todo))
    flaw = next(flaws(found, schema(), schema()["$defs"]), "")
    if flaw:
        raise ConfigError(say(where, expected, f"one {flaw}", TODO))
    return found


def flaws(x: Any, form: dict[str, Any], known: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield what the published form asks for and a report lacks or has of another type.

    Words and numbers may be any: those of an older suite are not those of today.
    """
    form = known[form["$ref"].rpartition("/")[2]] if "$ref" in form else form
    wanted = form.get("type", [])
    types = [wanted] if isinstance(wanted, str) else wanted
    if types and not any(isinstance(x, TYPES[word]) for word in types):
        yield f"whose {name} is no {' or '.join(types)}"
    elif isinstance(x, dict):
        above = f"{name}." if name else ""
        yield from (f"without {above}{key}" for key in form.get("required", []) if key not in x)
        for key, part in x.items():
            rest = form.get("additionalProperties") or {}
            inner = form.get("properties", {}).get(key, rest)
            yield from flaws(part, inner, known, f"{above}{key}")
    elif isinstance(x, list):
        for number, part in enumerate(x):
            yield from flaws(part, form.get("items", {}), known, f"{name}[{number}]")


def changes(old: Judged, new: Judged) -> list[Change]:
    """Return each check whose status has changed, in the order of the new judgement."""
    before, after = rows(old), rows(new)
    found = []
    for key in [*after, *(k for k in before if k not in after)]:
        was, now = before.get(key), after.get(key)
        if was is None or now is None or was["status"] != now["status"]:
            found.append(change(key, was, now, old, new))
    return found


def rows(judged: Judged) -> dict[tuple[str, str], Row]:
    """Return (check, precision) -> result."""
    return {(row["check"], row["precision"]): row for row in judged["results"]}


def change(
    key: tuple[str, str], was: Row | None, now: Row | None, old: Judged, new: Judged
) -> Change:
    """Return one change with its reason."""
    if now is None:
        why = "no longer judged"
    else:
        why = appeared(now, old) if was is None else because(was, now, old, new)
    return Change(*key, was["status"] if was else "", now["status"] if now else "", why)


def appeared(now: Row, old: Judged) -> str:
    """Return why a check is there that was not."""
    chosen_then = bool(old["words"]) or now["precision"] not in old["precisions"]
    if any(row["check"] == now["check"] for row in old["results"]) or chosen_then:
        return "newly judged"
    unknown = any(rule not in old["rules"] for rule in now["rules"])
    return "new rule" if unknown else "new check"


def because(was: Row, now: Row, old: Judged, new: Judged) -> str:
    """Return why a status is another."""
    if now["status"] == "not_claimed":
        return "no longer claimed"
    if was["status"] in ("not_claimed", "itself"):
        return "newly claimed" if was["status"] == "not_claimed" else "newly judged"
    if now["status"] not in BAD:
        return "mended"
    return "still fails" if was["status"] in BAD else fault(was, now, old, new)


def fault(was: Row, now: Row, old: Judged, new: Judged) -> str:
    """Return whose change it is that a check fails which passed."""
    if any(digest(old, rule) != digest(new, rule) for rule in now["rules"]):
        return "changed rule"
    if (was["rules"], was["text"]) != (now["rules"], now["text"]):
        return "changed check"
    if tightened(was, now, old, new):
        return "tightened tolerance"
    if old["suite"] != new["suite"]:  # it may judge more strictly: nobody can say whose change
        return "changed suite"
    asked = [(judged["profile"], judged["seed"]) for judged in (old, new)]
    return "your regression" if asked[0] == asked[1] else "other examples"


def digest(judged: Judged, rule: str) -> str:
    """Return the digest of a rule's text, "" if the judgement does not know it."""
    return str(judged["rules"].get(rule, {}).get("digest", ""))


def tightened(was: Row, now: Row, old: Judged, new: Judged) -> bool:
    """Return whether less error is allowed than was, by the suite or by the expectations."""
    then, today = old["strictness"], new["strictness"]
    looser = today["factor"] * now["factor"] >= then["factor"] * was["factor"]
    return not looser or then["ulps"] != today["ulps"]


def lines(found: list[Change], old: Judged, new: Judged) -> Iterator[str]:
    """Yield the changes in words: how many of each kind, then each, the most telling first."""
    for name in ("specification", "suite", "protocol", "mindref", "profile", "seed"):
        if old[name] != new[name]:
            yield f"{name} {old[name]} then, {new[name]} now"
    if old["backend"]["name"] != new["backend"]["name"]:
        yield f"backend {old['backend']['name']} then, {new['backend']['name']} now"
    then, today = (its["backend"].get("device", "cpu") for its in (old, new))
    if then != today:
        yield f"device {then} then, {today} now"
    counts = Counter(c.why for c in found)
    said = [f"{counts[why]} {why}" for why in WHYS if counts[why]]
    yield ", ".join(said) or "nothing has changed"
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for one in found:
        alike.setdefault((one.why, one.check, one.was, one.now), []).append(one.precision)
    for key in sorted(alike, key=lambda key: (WHYS.index(key[0]), key[3] == "blocked")):
        why, check, *states = key
        was, now = (s.replace("_", " ") or "not judged" for s in states)
        yield f"{why}: {check} [{', '.join(alike[key])}], {was} -> {now}"
