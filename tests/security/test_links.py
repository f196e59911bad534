"""Links out of a run, pipes and sockets are neither read nor written, and never block."""

import os
import shutil

import pytest

from mindref.cli import main
from mindref.errors import RunError
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint, files, items
from tests.faults.damage import make_socket, replace_file
from tests.security.tampering import recall, recommend


@pytest.mark.rules("security-R4")
@pytest.mark.parametrize("name", ["items.tsv", "state.json", "index", "index/.lock", "more"])
def test_a_link_out_of_the_run_raises_and_its_target_is_unchanged(run, tmp_path, name):
    """Resuming would write to state.json, and recall to the lock."""
    victim = tmp_path / "victim"
    if name == "index":
        shutil.move(run / name, victim)
    else:
        victim.write_text("precious")
        (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    for use in (load, resume_run, recall):
        with pytest.raises(RunError, match=rf"{name}: expected a file of this folder, got a link"):
            use(run)
    assert victim.is_dir() or victim.read_text() == "precious"


@pytest.mark.rules("security-R4")
def test_links_within_a_run_and_to_a_run_are_followed(run, tmp_path):
    before = recommend(run)
    (run / "items.tsv").rename(run / "other.tsv")
    (run / "items.tsv").symlink_to("other.tsv")
    (tmp_path / "latest").symlink_to(run)
    assert recommend(tmp_path / "latest") == before
    files.check_tree(tmp_path / "latest")  # as the folder of an experiment


@pytest.mark.rules("security-R5")
def test_a_file_removed_during_the_scan_is_ignored(run, monkeypatch):
    """Training writes a temporary file and renames it, while another process reads the folder."""
    scandir = os.scandir

    def late(folder):
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
def test_a_pipe_raises_without_waiting(run, name):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    with pytest.raises(RunError, match=rf"{name}: expected a file or a folder, got a pipe"):
        recall(run)


@pytest.mark.rules("security-R5")
def test_the_type_of_a_file_is_checked_before_it_is_opened(tmp_path):
    """A socket cannot be opened: without the check the test fails, where a pipe would hang."""
    (tmp_path / "socket").touch()
    replace_file(tmp_path / "socket", make_socket)
    for read in (
        lambda path: files.StoredFile(path, "JSON", "").read_json(),
        items.read_items,
        array_files.load_arrays,
    ):
        with pytest.raises(RunError, match="got no file, but something else"):
            read(tmp_path / "socket")


@pytest.mark.rules("security-R4")
@pytest.mark.parametrize("name", ["compare.json", "random/trial-0/x"])
def test_a_link_in_the_folder_of_an_experiment_is_not_followed(tmp_path, name, capfd):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "out" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--models", "popularity,random", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "expected a file of this folder, got a link that leads out" in capfd.readouterr().err
    assert victim.read_text() == "precious"
