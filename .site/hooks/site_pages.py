"""Add files of the repository, executed pages and API pages to the site, and its navigation.

The files of specs/ have the same paths on the site as in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from executed import executed_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[2]
SECTION = "Specification"
PAGES = {
    "CHANGELOG.md": "CHANGELOG.md",
    "tests/README.md": "tests.md",
    "backends/torch/README.md": "backends/torch.md",
    "backends/jax/README.md": "backends/jax.md",
    "mindref/study/exercises/README.md": "exercises.md",
    ".github/CONTRIBUTING.md": "contributing.md",
    ".github/SECURITY.md": "vulnerabilities.md",
}
"""Path in the repository -> path on the site, for files outside specs/."""

API = re.compile(r"api/(?!index)([\w/]+)\.md")
"""A page of the API reference: api/data/log.md for mindref.data.log."""

API_TEXT = """---
search:
  boost: 0.1
---
::: mindref.{module}
    options: {options}
"""
"""Docstrings repeat the words of the guide and of the specification, which searches show first."""

INCLUDE = re.compile(r'^<!-- include: (\S+) "(.*?)"(?: to "(.*?)")? -->$', re.M)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^()\s#]+)(#[^()\s]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    """Add the pages of specs/ that no section names to the section "Specification"."""
    listed = str(config.nav)
    sections = [entry for entry in config.nav if isinstance(entry, dict)]
    (section,) = (entry[SECTION] for entry in sections if SECTION in entry)
    section += [path for path in specification_pages() if path not in listed]
    for entries in (x for entry in sections for x in entry.values() if isinstance(x, list)):
        entries[:] = [split_package(entry) for entry in entries]


def split_package(entry: Any) -> Any:
    """Return the entry of a package in the API reference with a page for each module."""
    if not isinstance(entry, dict) or not (match := API.fullmatch(str(*entry.values()))):
        return entry
    package = match[1]
    files = sorted((REPOSITORY / "mindref" / package).glob("[!_]*"))
    modules = [x.stem for x in files if x.suffix == ".py" or (x / "__init__.py").is_file()]
    pages = [split_package({x: f"api/{package}/{x}.md"}) for x in modules]
    return {Path(package).name: [{"overview": match[0]}, *pages]} if pages else entry


def specification_pages() -> list[str]:
    """Return the pages of specs/ in the order of their first links on specs/README.md."""
    text = (REPOSITORY / "specs/README.md").read_text(encoding="utf-8")
    linked = [f"specs/{name}" for name in re.findall(r"\]\(([\w/]+\.md)\)", text)]
    return list(dict.fromkeys([*linked, *(p for p in specification_files() if p.endswith(".md"))]))


def specification_files() -> list[str]:
    """Return the paths of all files in specs/."""
    paths = sorted((REPOSITORY / "specs").rglob("*"))
    return [path.relative_to(REPOSITORY).as_posix() for path in paths if path.is_file()]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository, the executed pages and the API pages."""
    contents: dict[str, str | bytes] = {
        target: (REPOSITORY / path).read_bytes()
        for path, target in [*PAGES.items(), *((path, path) for path in specification_files())]
    }
    paths = API.findall(str(config.nav))
    for path in paths:
        is_split = any(x.startswith(f"{path}/") for x in paths)
        options = f"{{heading_level: 1, show_submodules: {str(not is_split).lower()}}}"
        module = path.replace("/", ".")
        contents[f"api/{path}.md"] = API_TEXT.format(module=module, options=options)
    contents |= executed_pages(Path(config.docs_dir), config.nav, config.extra["run_commands"])
    for path, content in contents.items():
        if file := files.get_file_from_path(path):
            files.remove(file)
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Insert the included sections, and adapt links of files of the repository."""
    path = page.file.src_uri
    sources = {target: source for source, target in PAGES.items()}
    if path in sources or path.startswith("specs/"):
        return adapt_links(markdown, sources.get(path, path), path, files)

    def included(match: re.Match[str]) -> str:
        source, start, end = match.groups()
        text = section_text(source, start, end or r"## ")
        return adapt_links(text, source, path, files)

    return INCLUDE.sub(included, markdown)


def section_text(source: str, start: str, end: str) -> str:
    """Return the text of a file between the line that starts with `start` and one with `end`."""
    lines = (REPOSITORY / source).read_text(encoding="utf-8").splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith(start)]
    if len(starts) != 1:
        raise PluginError(f"{source}: expected one line that starts with {start!r}, got {starts}")
    first = starts[0] + 1
    ends = [index for index in range(first, len(lines)) if lines[index].startswith(end)]
    return "\n".join(lines[first : min(ends, default=len(lines))])


def adapt_links(text: str, source: str, path: str, files: Files) -> str:
    """Return `text` of the file `source` with links that are correct on the page `path`.

    A link to a file that is not on the site becomes text.
    """

    def adapt(match: re.Match[str]) -> str:
        label, target, anchor = match.groups(default="")
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        for name in (linked, posixpath.join(linked, "README.md")):
            name = PAGES.get(name, "index.md" if name == "README.md" else name)
            if files.get_file_from_path(name):
                return f"[{label}]({posixpath.relpath(name, posixpath.dirname(path))}{anchor})"
        return label if (REPOSITORY / linked).exists() else match[0]

    return LINK.sub(adapt, text)
