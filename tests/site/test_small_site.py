"""A mistake in a page makes the build fail: dead links and anchors, formulas, commands."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.site.conftest import HOOKS, REPOSITORY

pytestmark = pytest.mark.needs("mkdocs", "nbconvert", "latex2mathml")

CONFIG = """
INHERIT: mkdocs.yml
plugins: [search]
use_directory_urls: false
nav: [index.md, {pages}, Specification: [specs/README.md]]
"""
RULES = "# routing\n\n## Rules\n\n- **routing-R1** (must) $x_i$ is `$1`. See [a](README.md#top).\n"
MISTAKES = {
    "[a](nothing.md)": "'specs/nothing.md' is not found",
    "[a](README.md#nothing)": "does not contain an anchor '#nothing'",
    "[a](../mindref/nothing.py)": "'mindref/nothing.py' is not found",
    "$\\nothing{x}$": r"the command \nothing is unknown",
    "```math\n\\nothing{x}\n```": r"the command \nothing is unknown",
    "$\\begin{aligned} a &= b \\end{aligned}$": "align rows with the environment split or cases",
    "```math\n\\frac{a\n```": "the braces are not balanced",
}


@pytest.fixture
def small_site(tmp_path):
    """Return a repository with a small site of two pages of the specification."""
    from site_pages import PAGES

    shutil.copytree(HOOKS, tmp_path / ".site" / "hooks")
    shutil.copy(REPOSITORY / ".site" / "mkdocs.yml", tmp_path / ".site")
    for path in (*PAGES, "specs/README.md", "mindref/a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("# Top\n\n## Top\n\n[r](routing.md)\n" * path.startswith("s"))
    (tmp_path / "specs" / "routing.md").write_text(RULES)
    (tmp_path / "README.md").write_text("# A\n\n## B\n\nsee [a](mindref/a.py), [s](specs/)\n")
    (tmp_path / ".site" / "pages").mkdir()
    write_index(tmp_path, "routing-R1, routing-R2")
    config = CONFIG.format(pages=", ".join(PAGES.values()))
    (tmp_path / ".site" / "small.yml").write_text(config)
    return tmp_path


def write_index(repository, text):
    index = repository / ".site" / "pages" / "index.md"
    index.write_text(f'# Home\n\n<!-- include: README.md "## B" -->\n\n{text}\n')


def build_site(repository):
    """Return the exit code, and the log of a strict build without commands."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", "small.yml"]
    folder, env = repository / ".site", {**os.environ, "SITE_RUN_COMMANDS": "false"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_correct_site_builds_with_formulas_anchors_and_links(small_site):
    code, log = build_site(small_site)
    assert code == 0, log
    routing = (small_site / ".site" / "built" / "specs" / "routing.html").read_text()
    assert "<math" in routing
    assert "<code>$1</code>" in routing
    assert 'id="routing-r1"' in routing
    home = (small_site / ".site" / "built" / "index.html").read_text()
    assert '<a href="specs/routing.html#routing-r1">routing-R1</a>, routing-R2' in home
    assert 'see a, <a href="specs/index.html">s</a>' in home, "a file outside the site is text"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_page_fails(small_site, mistake):
    path = small_site / "specs" / "routing.md"
    path.write_text(f"{RULES}\n{mistake}\n")
    code, log = build_site(small_site)
    assert code != 0
    assert MISTAKES[mistake] in log


def test_a_missing_section_fails(small_site):
    (small_site / "README.md").write_text("# A\n")
    code, log = build_site(small_site)
    assert code != 0
    assert "README.md: expected one line that starts with '## B'" in log


def test_the_output_of_a_command_is_below_the_command(tmp_path):
    from executed import page_markdown

    page = tmp_path / "page.md"
    page.write_text("```console run\n$ echo one \\\n  two\n$ true\n```\n")
    assert page_markdown(page, tmp_path, True) == (
        "```console\n$ echo one \\\n  two\none two\n\n$ true\n```\n"
    )


@pytest.mark.parametrize(
    ("fence", "command", "code"),
    [("run", "false", "0, got 1"), ("exit 2", "true", "2, got 0"), ("exit 2", "false", "2, got 1")],
)
def test_a_command_with_another_exit_code_fails(tmp_path, fence, command, code):
    from executed import page_markdown
    from mkdocs.exceptions import PluginError

    page = tmp_path / "page.md"
    page.write_text(f"```console {fence}\n$ {command}\n```\n")
    with pytest.raises(PluginError, match=f"expected exit code {code}"):
        page_markdown(page, tmp_path, True)


def test_the_error_of_a_command_that_must_fail_is_below_the_command(tmp_path):
    from executed import page_markdown

    page, command = tmp_path / "page.md", "echo no >&2; exit 2"
    page.write_text(f"```console exit 2\n$ {command}\n```\n")
    assert page_markdown(page, tmp_path, True) == f"```console\n$ {command}\nno\n```\n"


def test_a_notebook_with_an_error_fails(tmp_path):
    import nbformat
    from executed import notebook_markdown
    from mkdocs.exceptions import PluginError

    path, cell = tmp_path / "a.ipynb", nbformat.v4.new_code_cell("1 / 0")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with pytest.raises(PluginError, match=r"a\.ipynb: .*\n[\s\S]*ZeroDivisionError"):
        notebook_markdown(path, True)


def test_a_table_and_arguments_of_a_docstring_become_markdown():
    from docstrings import docstring_markdown

    text = "Return x.\n\na, b: numbers\nof a user\n\nmind    the model\npaper   the paper"
    assert docstring_markdown(text) == (
        "Return x.\n\n\n- **a, b**: numbers\n    of a user\n\n\n"
        "    mind    the model\n    paper   the paper"
    )


def test_a_bar_in_a_formula_of_a_table_is_kept():
    from site_markdown import escape_bars

    assert escape_bars(r"| a | $\|x\|$ | b |") == r"| a | $\vert x\vert $ | b |"


def test_a_space_follows_a_logarithm_without_parentheses():
    from site_markdown import convert_to_mathml as convert

    assert all("<mspace" in convert(latex) for latex in (r"\log E_t", r"\log_2 n"))
    assert "<mspace" not in convert(r"\log(x)")
