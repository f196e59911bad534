"""Run the commands of pages and the notebooks, and return the pages with the printed results.

On a page, a fence "console run" has commands, and "python run" has a program. Fences of all pages
run in one temporary folder, in the order of the navigation. Every command must end with exit code
0; in a fence "console exit 2", with exit code 2, and its output includes standard error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.exceptions import PluginError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import MarkdownExporter

FENCE = re.compile(r"^```(console|python) (?:run|exit (\d+))\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.M)
FRAME, FRAME_STYLE = '<table border="1" class="dataframe">', re.compile(r"<style.*?</style>", re.S)
COLOUR = re.compile(r"\x1b\[[\d;]*m")
STUDY_PAGE = "guide/study_page.html"
PROGRAM = f"""#!/bin/sh\nexec "{sys.executable}" -m mindref "$@"\n"""
WIDTH = "96"  # columns of a terminal
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads of BLAS and of Numba would compete
TIMEOUT = 300  # seconds of a command or a cell


def executed_pages(pages: Path, nav: Any, run: bool) -> dict[str, str]:
    """Return path -> Markdown of each page with results, and the study page."""
    notebooks = sorted((pages.parent / "notebooks").glob("*.ipynb"))
    names = [name for name in re.findall(r"'([\w/]+\.md)'", str(nav)) if (pages / name).is_file()]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        texts = pool.map(lambda path: notebook_markdown(path, run), notebooks)
        results = {name: page_markdown(pages / name, Path(folder), run) for name in names}
        results |= {f"notebooks/{p.stem}.md": t for p, t in zip(notebooks, texts, strict=True)}
        results[STUDY_PAGE] = study_page(Path(folder)) if run else ""
    return results


def page_markdown(path: Path, folder: Path, run: bool) -> str:
    """Return the page `path`, with the output of each command below the command."""

    def with_results(match: re.Match[str]) -> str:
        language, expected, code = match[1], int(match[2] or 0), match[3]
        if not run:
            return f"```{language}\n{code}```"
        if language == "python":
            output = run_command([sys.executable, "-c", code], folder, expected)
            return f"```python\n{code}```" + (f"\n\n```text\n{output}```" if output else "")
        lines = [
            f"$ {command}\n{run_command(['bash', '-c', command], folder, expected)}"
            for command in COMMAND.findall(code)
        ]
        return "```console\n" + "\n".join(lines) + "```"

    return FENCE.sub(with_results, path.read_text(encoding="utf-8"))


def program_folder(folder: Path) -> Path:
    """Return a folder for PATH with the program `mindref` of this interpreter."""
    program = folder / ".programs" / "mindref"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(PROGRAM, encoding="utf-8")
        program.chmod(0o755)
    return program.parent


def run_command(command: list[str], folder: Path, code: int) -> str:
    """Return the standard output of `command`; of a command that must fail, also its errors.

    Raises PluginError for another exit code.
    """
    path = os.pathsep.join((str(program_folder(folder)), os.environ["PATH"]))
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        env={**os.environ, "COLUMNS": WIDTH, "PATH": path},
    )  # fmt: skip
    if done.returncode != code:
        text = f"{command[-1]}: expected exit code {code}, got {done.returncode}"
        raise PluginError(f"{text}\n{done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if code else "")


def study_page(folder: Path) -> str:
    """Return the HTML page of `mindref study`."""
    run_command([sys.executable, "-m", "mindref", "study", "--html", "study.html"], folder, 0)
    return (folder / "study.html").read_text(encoding="utf-8")


def notebook_markdown(path: Path, run: bool) -> str:
    """Return a notebook as Markdown, executed in a temporary folder."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        if run:
            client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3")
            try:
                client.execute(cwd=folder)
            except CellExecutionError as error:
                raise PluginError(f"{path.name}: {error}") from error
        text, _ = MarkdownExporter().from_notebook_node(notebook)
    return FRAME_STYLE.sub("", COLOUR.sub("", text)).replace(FRAME, "<table>")
