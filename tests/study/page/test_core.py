"""Nothing is loaded, the file is small, and its numbers are those of Python."""

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.study.page import data_blocks, html_file, write_page
from tests.study.page.page_pair import array, flip_bit, make_page_pair, tensors, trace_to_dict
from tests.study.terminal.reading import is_rounded

FOLDER = Path(html_file.__file__).parent
LINES = 300
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";$', re.MULTILINE)


def test_every_script_and_style_is_included():
    assert {path.stem for path in (FOLDER / "script").iterdir()} == {*html_file.SCRIPTS, "start"}
    assert {path.stem for path in (FOLDER / "style").iterdir()} == set(html_file.STYLES)


@pytest.mark.parametrize("name", html_file.SCRIPTS)
def test_a_script_is_short_and_imports_only_earlier_scripts(name):
    text = (FOLDER / "script" / f"{name}.js").read_text(encoding="utf-8")
    assert text.startswith("// "), "its first line says what it is for"
    assert text.count("\n") <= LINES
    before = html_file.SCRIPTS[: html_file.SCRIPTS.index(name)]
    assert set(IMPORT.findall(text)) <= set(before)
    assert len(IMPORT.findall(text)) == len(re.findall(r"^import\b", text, re.MULTILINE))
    built = html_file.wrap_module(name)
    assert not re.search(r"^(import|export)\b", built, re.MULTILINE)


def test_the_linked_script_has_no_comments():
    text = html_file.link_modules(html_file.SCRIPTS)
    assert "/**" not in text
    assert "\n//" not in text
    assert "</script" not in text


ELSEWHERE = {
    "as it is": {},
    "far away": {"timezone_id": "Pacific/Auckland", "locale": "ar-EG"},
    "sharp": {"device_scale_factor": 2},
}


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.slow(every=3)
def test_the_page_makes_no_request_and_has_no_error(opened, file, place):
    page = opened(file, **ELSEWHERE[place])
    for view in page.page.query_selector_all("#views button"):
        view.click()
    assert page.requests == [file.as_uri()]
    assert page.errors == []


def test_the_file_is_small(file, rich, tmp_path):
    """`rich` has all views."""
    assert max(file.stat().st_size, rich.stat().st_size) <= 400_000
    users = [trace_to_dict(make_page_pair(seed), user=f"u{seed}") for seed in range(5)]
    write_page(users, tmp_path / "five.html")
    assert (tmp_path / "five.html").stat().st_size <= 1_500_000


def test_the_policy_is_strict_and_nothing_is_loaded(file):
    text = file.read_text(encoding="utf-8")
    assert "content=\"default-src 'none';" in text
    assert "unsafe" not in text.split("</head>")[0]
    assert not re.search(r"\b(src|href|action|poster|srcset|data)\s*=\s*[\"']?https?:", text)
    assert not re.search(
        r"url\(|@import|\bimport\s*\(|fetch\(|XMLHttpRequest|<iframe|<object", text
    )
    assert re.findall(r'\bhref="([^"]*)"', text) == ["#step"]


def test_other_files_have_no_influence(opened, file, tmp_path):
    shutil.copy(file, tmp_path / "moved.html")
    assert opened(tmp_path / "moved.html", "#ask=0").text() == opened(file, "#ask=0").text()


def test_the_page_recomputes_every_array(shared, trace):
    line = shared.page.query_selector("#selfcheck")
    assert shared.selfcheck() == "pass"
    assert float(line.get_attribute("data-largest")) < 1e-12
    made = [x for x in tensors(trace).values() if x["recipe"]["op"] != "input"]
    assert line.inner_text().startswith(f"Self-check: passed. {len(made)} arrays recomputed")


@pytest.mark.parametrize(
    ("name", "byte"),
    [("ids", 0), ("mask", 3), ("S", 0), ("b[1]", 8), ("w[2]", -1), ("unit[1]", 6), ("v", 100),
     ("loss", 0), ("d_S", 7), ("d_items", 11), ("score", 3), ("top", 0)],
)  # fmt: skip
@pytest.mark.slow(every=6)
def test_a_flipped_bit_is_detected(opened, file, trace, tmp_path, name, byte):
    bad = tmp_path / "bad.html"
    bad.write_text(flip_bit(file.read_text(), tensors(trace)[name]["data"], byte), "utf-8")
    page = opened(bad)
    assert page.selfcheck() == "fail"
    assert "FAILED" in page.page.inner_text("#selfcheck")
    assert name in page.page.inner_text("#selfcheck")


def test_a_wrong_number_with_a_correct_checksum_is_detected(opened, trace):
    wrong = json.loads(json.dumps(trace))
    weights = tensors(wrong)["w[2]"]
    values = array(weights).copy()
    values[0] += 1e-9
    weights["data"] = base64.b64encode(values.tobytes()).decode()
    page = opened([wrong])
    assert page.selfcheck() == "fail"
    assert "w[2]: differs by 1.0e−9" in page.page.inner_text("#selfcheck")


def test_a_damaged_content_block_is_detected(opened, file, tmp_path):
    text = file.read_text()
    at = text.index('id="content">') + 400
    bad = tmp_path / "bad.html"
    bad.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], encoding="utf-8")
    assert opened(bad).selfcheck() == "fail"


def test_a_changed_program_does_not_run(opened, file, tmp_path):
    text = file.read_text()
    program = html_file.link_modules(html_file.SCRIPTS)
    changed = {
        "cut": data_blocks.deflate(program)[:-40],
        "another": data_blocks.deflate(program + "document.title = 'changed';"),
    }
    for name, packed in changed.items():
        bad = tmp_path / f"{name}.html"
        bad.write_text(text.replace(data_blocks.deflate(program), packed), encoding="utf-8")
        page = opened(bad)
        assert page.selfcheck() == "fail", name
        assert "its program cannot be run" in page.page.inner_text("#selfcheck")
        assert page.page.title() != "changed"


@pytest.mark.slow
def test_every_cell_equals_the_number_of_python(shared, trace):
    seen = 0
    for step in trace["steps"]:
        shared.at(step=step["id"])
        found = shared.cells()
        for tensor in step["outputs"]:
            values, cells = array(tensor), found[tensor["name"]]
            assert sorted(cells) == list(range(len(values))), tensor["name"]
            for at, (full, text) in cells.items():
                assert np.float64(full).tobytes() == np.float64(values[at]).tobytes()
                printed = text.replace("−", "-").replace("∞", "inf")
                assert is_rounded(printed, values[at]), (tensor["name"], full)
            seen += len(cells) if tensor["dtype"] != "bool" else 0
    assert seen > 3000
