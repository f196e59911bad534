"""The scripts and styles of the page: each is used, short, and needs only those before it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mindref.study.page import build

FOLDER = Path(build.__file__).parent
LINES = 300
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";$', re.MULTILINE)


def test_every_script_and_style_is_built_in() -> None:
    assert {path.stem for path in (FOLDER / "script").iterdir()} == set(build.SCRIPTS)
    assert {path.stem for path in (FOLDER / "style").iterdir()} == set(build.STYLES)


@pytest.mark.parametrize("name", build.SCRIPTS)
def test_a_script_is_short_and_imports_what_stands_before_it(name: str) -> None:
    text = (FOLDER / "script" / f"{name}.js").read_text(encoding="utf-8")
    assert text.startswith("// "), "its first line says what it is for"
    assert text.count("\n") <= LINES
    before = build.SCRIPTS[: build.SCRIPTS.index(name)]
    assert set(IMPORT.findall(text)) <= set(before)
    assert len(IMPORT.findall(text)) == len(re.findall(r"^import\b", text, re.MULTILINE))
    built = build.scoped(name)
    assert not re.search(r"^(import|export)\b", built, re.MULTILINE)


def test_the_built_script_keeps_its_code_and_loses_its_comments() -> None:
    text = build.linked(build.SCRIPTS)
    assert "/**" not in text
    assert "\n//" not in text
    assert "</script" not in text
