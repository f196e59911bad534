"""Links that lead out of a run, and what is no file: neither read, written nor waited for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mindref.errors import RunError
from mindref.recommender import load
from mindref.recommender.bulk import recall_lists
from mindref.recommender.trainer import resume_run
from mindref.run import array_files, checkpoint, files, items
from tests.damage.damage_ops import make_socket, replace_file
from tests.damage.damaged_runs import HISTORIES
from tests.security.hands import answer


@pytest.mark.rules("security-R4")
@pytest.mark.parametrize("name", ["items.tsv", "state.json", "index", "index/.lock", "more"])
def test_a_link_that_leads_out_is_neither_read_nor_written(
    run: Path, tmp_path: Path, name: str
) -> None:
    """What would be written is the user's: state.json by resuming, the lock by recalling."""
    victim = tmp_path / "victim"
    if name == "index":
        shutil.move(run / name, victim)
    else:
        victim.write_text("precious")
        (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    for use in (
        load,
        resume_run,
        lambda run: recall_lists(run, history=HISTORIES[0], kind="annoy"),
    ):
        with pytest.raises(RunError, match=rf"{name}: expected a file of this folder, got a link"):
            use(run)
    assert victim.is_dir() or victim.read_text() == "precious"


@pytest.mark.rules("security-R4")
def test_links_within_a_run_and_to_a_run_are_followed(run: Path, tmp_path: Path) -> None:
    before = answer(run)
    (run / "items.tsv").rename(run / "other.tsv")
    (run / "items.tsv").symlink_to("other.tsv")
    (tmp_path / "latest").symlink_to(run)
    assert answer(tmp_path / "latest") == before


@pytest.mark.rules("security-R5")
def test_a_file_that_goes_while_it_is_looked_at_is_no_link(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who trains writes beside a file and then in its place; who reads may come between."""
    scandir = os.scandir

    def late(folder: Path) -> Any:
        (run / "state.json.tmp").touch()
        entries = list(scandir(folder))
        (run / "state.json.tmp").unlink()
        return iter(entries)

    monkeypatch.setattr(os, "scandir", late)
    assert checkpoint.load_config(run)
    (run / "x").symlink_to(run / "y")
    with pytest.raises(RunError, match=r"x: expected a file or a folder, got a link to nothing"):
        checkpoint.load_config(run)


@pytest.mark.rules("security-R5")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "index/manifest.json", "x"])
def test_a_pipe_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    with pytest.raises(RunError, match=rf"{name}: expected a file or a folder, got a pipe"):
        recall_lists(run, history=HISTORIES[0], kind="annoy")


@pytest.mark.rules("security-R5")
def test_a_file_is_looked_at_before_it_is_opened(tmp_path: Path) -> None:
    """A socket cannot be opened, so that a mistake here fails where a pipe would hang."""
    (tmp_path / "socket").touch()
    replace_file(tmp_path / "socket", make_socket)
    for read in (
        lambda path: files.read_json(path, "JSON", ""),
        items.read_items,
        array_files.load_arrays,
    ):
        with pytest.raises(RunError, match="got no file, but something else"):
            read(tmp_path / "socket")
