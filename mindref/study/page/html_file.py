"""Write the HTML file of the page: template, style, scripts and data in one file.

The file loads nothing. Its content security policy allows only its own style and scripts, by hash.
The program is deflated; start.js unpacks it and runs it. The output is reproducible.
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
from mindref.run import atomic, lock
from mindref.study.page.data_blocks import deflate, pack_blocks
from mindref.study.page.noscript import render_noscript

STYLES = (
    "base", "layout", "parts", "tables", "number", "views", "overview", "exercises", "speeds",
    "print",
)  # fmt: skip
SCRIPTS = (
    "data", "dom", "numbers", "quantities", "state", "sum_recipe", "operators",
    "recompute", "unroll", "edits", "explain", "softmax_sums", "table", "equation",
    "squash_lengths", "prediction", "inspector", "editor", "folds", "step", "flow",
    "step_list", "self_check", "tabs", "views", "plane", "interest_colours", "picture_routing",
    "picture_text", "picture_layout", "shapes", "picture", "weight_bars", "overview_controls",
    "overview", "replay", "eight_rows", "eight_drawings", "eight_numbers", "eight_texts",
    "eight_pictures", "retrieval", "variants", "ambiguities", "exercises",
    "keys", "main",
)  # fmt: skip
"""The scripts, in the order of their imports."""

VIEWS = {
    "overview": "Overview",
    "pictures": "Eight pictures",
    "steps": "Step by step",
    "replay": "Replay",
    "retrieval": "Retrieval",
    "variants": "Variants",
    "ambiguities": "Ambiguities",
    "exercises": "Exercises",
}


def write_page(
    traces: Sequence[Mapping[str, Any]],
    path: Path | str,
    *,
    derived: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write traces (JSON "mindref.trace/1", one per user or variant) as one HTML file.

    derived[i]: the data of the views for traces[i] (derived_views, case study, exercises). Raises
    ConfigError without a trace or for more elements than traces, RunError if the file cannot be
    written.
    """
    with lock.lock_output(path):  # faults-R8
        atomic.write_text(path, render_page(traces, derived))


def render_page(
    traces: Sequence[Mapping[str, Any]], derived: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the HTML text of the page."""
    if not traces:
        raise ConfigError(say("page: traces", "at least one", "none"))
    if len(derived) > len(traces):
        raise ConfigError(say("page: derived", f"at most {len(traces)}", len(derived)))
    style = strip_comments("\n".join(read_asset("style", f"{name}.css") for name in STYLES))
    program, start = link_modules(SCRIPTS), strip_comments(read_asset("script", "start.js"))
    allowed = [
        f"style-src {csp_hash(style)}",
        f"script-src {csp_hash(start)} {csp_hash(program)}",
    ]
    policy = "; ".join(["default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"])
    parts = {
        "policy": policy,
        "title": html.escape(f"MIND, step by step: {traces[0]['metadata']['user']}"),
        "style": style,
        "views": "".join(
            f'<button type="button" data-view="{k}">{v}</button>' for k, v in VIEWS.items()
        ),
        "noscript": render_noscript(traces[0]),
        **pack_blocks(traces, derived)._asdict(),
        "program": deflate(program),
        "start": start,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], read_asset("template.html"))


def read_asset(*path_parts: str) -> str:
    """Return the text of a file of this package."""
    return resources.files(__package__).joinpath(*path_parts).read_text(encoding="utf-8")


def link_modules(names: Sequence[str]) -> str:
    """Return ES modules as one script, each in its own scope."""
    return strip_comments("const modules = {};\n" + "\n".join(wrap_module(name) for name in names))


def wrap_module(name: str) -> str:
    """Return one module as an immediately called function that returns its exports."""
    text = read_asset("script", f"{name}.js")
    exports = ", ".join(
        re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
    )
    text = re.sub(
        r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', r"const \1 = modules.\2;", text, flags=re.M
    )
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{text}return {{ {exports} }};\n}})();\n"


def strip_comments(text: str) -> str:
    """Return a script or style without comment lines and indentation."""
    text = re.sub(r"^\s*/\*.*?\*/\n", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^[ \t]+|^\n", "", text, flags=re.MULTILINE)


def csp_hash(text: str) -> str:
    """Return the hash of an inline element in the form of a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
