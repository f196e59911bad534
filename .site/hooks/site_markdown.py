"""Markdown of the site: formulas become MathML, and each label of a rule links to its rule."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from pymdownx.superfences import SuperFencesException

from mindref.conformance.report.rule_address import rule_address
from mindref.study.latex import INLINE_FORMULA

SPECS = Path(__file__).parents[2] / "specs"
RULE = re.compile(r"^- \*\*((\w+)-R(\d+))\*\*(?= \()", re.M)
LABEL = r"\b([a-z_]+-R\d+)\b"
QUOTED_FORMULA = r"\$`([^`]+)`\$"
CELL_FORMULA = re.compile(r"\$[^$|]*(?:\\\|[^$|]*)+\$")
LOG = re.compile(r"(<msub><mi>log</mi><mn>2</mn></msub>|<mi>log</mi>(?!<mn>))(?!<mo stretchy)")
FENCE_WORDS = re.compile(r"^(```\w+) [\w -]+$", re.M)
"""A fence with more words than the language, such as "json worked-example"."""

BLOCK_FORMULA = re.compile(r"^\$\$\n?(.*?)\n?\$\$$", re.M | re.S)

BEFORE_CODE, AFTER_CODE, LAST = 195, 185, 1
"""Priorities of inline processors; code spans have 190, escapes 180."""


def rule_anchor(rule: str) -> str:
    """Return the anchor of a rule on its page: "routing-r3" for "routing-R3"."""
    return rule_address(rule).split("#")[1]


def convert_to_mathml(latex: str, display: str = "inline") -> str:
    """Return a formula as MathML. Raises PluginError for LaTeX that the converter cannot read."""
    braces = re.sub(r"\\[{}]", "", latex)
    if braces.count("{") != braces.count("}"):
        raise PluginError(f"formula {latex!r}: the braces are not balanced")
    try:
        text = convert(latex.strip(), display=display)
    except Exception as error:
        raise PluginError(f"formula {latex!r}: {error!r}") from error
    if unknown := re.search(r">(\\[A-Za-z]+)<", text):
        raise PluginError(f"formula {latex!r}: the command {unknown[1]} is unknown")
    if ">&<" in text:  # the converter has no `aligned`
        raise PluginError(f"formula {latex!r}: align rows with the environment split or cases")
    return LOG.sub(r'\g<0><mspace width="0.167em"></mspace>', text)  # log E, not logE


def formula_block(latex: str, *_: Any, **__: Any) -> str:
    """Return a displayed formula as an HTML block that scrolls if it is wide."""
    try:
        return f'<div class="formula">{convert_to_mathml(latex, "block")}</div>'
    except PluginError as error:  # the extension for fences suppresses other exceptions
        raise SuperFencesException(str(error)) from error


class FormulaProcessor(InlineProcessor):
    """Replaces the formula in the first group by MathML."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:
        """Return a placeholder of the MathML."""
        return self.md.htmlStash.store(convert_to_mathml(m[1])), m.start(0), m.end(0)


class RuleLinkProcessor(InlineProcessor):
    """Replaces the label of a rule by a link to the rule."""

    ANCESTOR_EXCLUDES = ("a",)

    def __init__(self, pattern: str, md: Markdown, extension: SiteMarkdown) -> None:
        super().__init__(pattern, md)
        self.extension = extension

    def handleMatch(
        self, m: re.Match[str], data: str
    ) -> tuple[xml.Element | None, int | None, int | None]:
        """Return the link; None if there is no such rule."""
        folder = posixpath.dirname(self.extension.path)
        page = f"specs/{m[1].split('-R')[0]}.md"
        if m[1] not in self.extension.rules:
            return None, None, None
        target = posixpath.relpath(page, folder)
        link = xml.Element("a", href=f"{target}#{rule_anchor(m[1])}")
        link.text = m[1]
        return link, m.start(0), m.end(0)


class SiteMarkdown(Extension):
    """The extension of Python-Markdown. `path` is the page that is converted."""

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        texts = [page.read_text(encoding="utf-8") for page in SPECS.glob("*.md")]
        self.rules = {match[0] for text in texts for match in RULE.findall(text)}

    def extendMarkdown(self, md: Markdown) -> None:
        """Register the inline processors."""
        patterns = md.inlinePatterns
        patterns.register(FormulaProcessor(QUOTED_FORMULA, md), "quoted_formula", BEFORE_CODE)
        patterns.register(FormulaProcessor(INLINE_FORMULA.pattern, md), "formula", AFTER_CODE)
        patterns.register(RuleLinkProcessor(LABEL, md, self), "rule_link", LAST)


EXTENSION = SiteMarkdown()


def on_config(config: MkDocsConfig) -> None:
    """Add the extension, and the fence for formulas."""
    config.markdown_extensions.append(EXTENSION)
    fence = {"name": "math", "class": "math", "format": formula_block}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Give each rule of the page an anchor, and prepare formulas in tables and blocks."""
    EXTENSION.path = page.file.src_uri
    markdown = RULE.sub(
        lambda m: f"- **[{m[1]}](#{rule_anchor(m[1])}){{#{rule_anchor(m[1])} .rule}}**", markdown
    )
    markdown = FENCE_WORDS.sub(r"\1", markdown)
    markdown = BLOCK_FORMULA.sub(lambda m: f"```math\n{m[1]}\n```", markdown)
    rows = [escape_bars(x) if x.startswith("|") else x for x in markdown.split("\n")]
    return "\n".join(rows)


def escape_bars(row: str) -> str:
    """Return a row of a table in which formulas have \\vert in place of an escaped bar."""
    return CELL_FORMULA.sub(lambda m: m[0].replace("\\|", "\\vert "), row)
