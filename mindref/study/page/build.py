"""One file out of template, style, scripts and traces; nothing is loaded from anywhere.

The policy of the file allows the one style and the one script that stand in it, by their hash.
The same traces and extras always give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mindref.errors import ConfigError, say
from mindref.run import atomic
from mindref.study.page.pack import packed
from mindref.study.page.still import still

STYLES = ("base", "layout", "parts", "tables", "number", "views", "print")
SCRIPTS = (  # each needs only those before it
    "data",
    "dom",
    "numbers",
    "quantities",
    "state",
    "sums",
    "operators",
    "twin",
    "unroll",
    "edits",
    "explain",
    "witness",
    "table",
    "equation",
    "checks",
    "predict",
    "inspector",
    "editor",
    "step",
    "rail",
    "check",
    "tabs",
    "views",
    "replay",
    "map",
    "retrieval",
    "ledger",
    "bench",
    "curve",
    "ambiguities",
    "exercises",
    "keys",
    "main",
)
VIEWS = {
    "steps": "Step by step",
    "replay": "Replay",
    "map": "Interests map",
    "retrieval": "Retrieval",
    "ledger": "Gradient ledger",
    "bench": "Variant bench",
    "curve": "Finite differences",
    "ambiguities": "Ambiguities",
    "exercises": "Exercises",
}


def write_page(
    traces: Sequence[Mapping[str, Any]],
    path: Path | str,
    *,
    extras: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write traces (the JSON of "mindref.trace/1", one per user or variant) as one HTML file.

    extras[i] belongs to traces[i]: what `mindref.study.extras` and the case study say, under their
    names; a view without its part says how to get it. Raises ConfigError without a trace or for
    more extras than traces, RunError where the file cannot be written.
    """
    atomic.write_text(path, page(traces, extras))


def page(traces: Sequence[Mapping[str, Any]], extras: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page as text."""
    if not traces:
        raise ConfigError(say("page: traces", "at least one", "none"))
    if len(extras) > len(traces):
        raise ConfigError(say("page: extras", f"at most {len(traces)}", len(extras)))
    style = lean("\n".join(read("style", f"{name}.css") for name in STYLES))
    script = linked(SCRIPTS)
    hashes = {"style": hashed(style), "script": hashed(script)}
    allowed = [f"{kind}-src '{value}'" for kind, value in hashes.items()]
    policy = "; ".join(["default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"])
    parts = {
        "policy": policy,
        "title": html.escape(f"MIND, step by step: {traces[0]['about']['user']}"),
        "style": style,
        "views": "".join(
            f'<button type="button" data-view="{k}">{v}</button>' for k, v in VIEWS.items()
        ),
        "still": still(traces[0]),
        **packed(traces, extras)._asdict(),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("template.html"))


def read(*where: str) -> str:
    """Return a text that is shipped with this package."""
    return resources.files(__package__).joinpath(*where).read_text(encoding="utf-8")


def linked(names: Sequence[str]) -> str:
    """Return ES modules as one script: each in a scope of its own, imports by destructuring."""
    return lean("const modules = {};\n" + "\n".join(scoped(name) for name in names))


def scoped(name: str) -> str:
    """Return one module as a function that is called at once and leaves its exports behind."""
    text = read("script", f"{name}.js")
    exports = ", ".join(
        re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
    )
    text = re.sub(
        r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', r"const \1 = modules.\2;", text, flags=re.M
    )
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{text}return {{ {exports} }};\n}})();\n"


def lean(text: str) -> str:
    """Return a script or style without comments of whole lines and without indentation."""
    text = re.sub(r"^\s*/\*.*?\*/\n", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^[ \t]+|^\n", "", text, flags=re.MULTILINE)


def hashed(text: str) -> str:
    """Return the hash of an inline element as a content security policy names it."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
