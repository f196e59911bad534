"""The build backend: setuptools, with a long description whose links work on an index page.

README.md links to files of the repository by relative paths, which are dead on the page of a
package index. `project_urls` in setup.cfg may have a line `Source = https://...`, the address of
the repository. Then the links become absolute. Without it, the text of a link and the path of the
file remain, without a link.
"""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools.build_meta import *  # noqa: F403  # the hooks of the build

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "long_description.md"
"""The file that setup.cfg names; Git ignores it."""

RELATIVE_LINK = re.compile(r"(!?)\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")


def source_address(metadata: ConfigParser) -> str:
    """Return the address of this version's files in the repository, "" if setup.cfg has none."""
    urls = metadata.get("metadata", "project_urls", fallback="").splitlines()
    pairs = (line.partition("=") for line in urls)
    address = next((url.strip() for name, _, url in pairs if name.strip() == "Source"), "")
    text = (ROOT / "mindref" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.*)"$', text, re.M)
    return f"{address.rstrip('/')}/blob/v{version}" if address else ""


def long_description(readme: str, address: str) -> str:
    """Return the text of README.md without relative links, and without an address no picture."""

    def replace(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        if address:
            return f"{picture}[{text}]({address}/{target}{'?raw=true' * bool(picture)})"
        if picture:
            return ""
        return text if target.startswith(text) else f"{text} (`{target.partition('#')[0]}`)"

    return RELATIVE_LINK.sub(replace, readme)


def write_long_description() -> None:
    """Write the file that setup.cfg names."""
    metadata = ConfigParser(interpolation=None)
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(long_description(readme, source_address(metadata)), encoding="utf-8")


write_long_description()
