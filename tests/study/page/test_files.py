"""The scripts and styles of the page: each is used, short, and needs only those before it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mindref.study.page import html_file

FOLDER = Path(html_file.__file__).parent
LINES = 300
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";$', re.MULTILINE)


def test_every_script_and_style_is_included() -> None:
    assert {path.stem for path in (FOLDER / "script").iterdir()} == set(html_file.SCRIPTS)
    assert {path.stem for path in (FOLDER / "style").iterdir()} == set(html_file.STYLES)


@pytest.mark.parametrize("name", html_file.SCRIPTS)
def test_a_script_is_short_and_imports_only_earlier_scripts(name: str) -> None:
    text = (FOLDER / "script" / f"{name}.js").read_text(encoding="utf-8")
    assert text.startswith("// "), "its first line says what it is for"
    assert text.count("\n") <= LINES
    before = html_file.SCRIPTS[: html_file.SCRIPTS.index(name)]
    assert set(IMPORT.findall(text)) <= set(before)
    assert len(IMPORT.findall(text)) == len(re.findall(r"^import\b", text, re.MULTILINE))
    built = html_file.wrap_module(name)
    assert not re.search(r"^(import|export)\b", built, re.MULTILINE)


def test_the_linked_script_has_no_comments() -> None:
    text = html_file.link_modules(html_file.SCRIPTS)
    assert "/**" not in text
    assert "\n//" not in text
    assert "</script" not in text
