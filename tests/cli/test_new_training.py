"""The folders runs/NNN of trainings without --out."""

import os
import shutil
import threading

import click
import pytest

from mindref.cli import new_training
from mindref.errors import RunError


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with click.Context(click.Command("train")) as context:
        yield context


@pytest.mark.rules("faults-R5")
def test_each_of_several_threads_gets_a_folder_of_its_own(context, tmp_path):
    folders, barrier = [], threading.Barrier(8)

    def claim():
        with click.Context(click.Command("train")) as own:
            barrier.wait()
            folders.append(new_training.claim_run_directory(tmp_path / "runs"))
            (folders[-1] / str(id(own))).touch()

    workers = [threading.Thread(target=claim) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(x.name for x in folders) == [f"{i:03d}" for i in range(1, 9)]


def test_an_empty_folder_is_removed_at_the_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with click.Context(click.Command("train")):
        run = new_training.choose_run_directory(None)
        assert run.is_dir()
    assert not os.path.exists("runs")
    with click.Context(click.Command("train")):
        (new_training.choose_run_directory(None) / "items.tsv").touch()
    assert os.listdir("runs/001") == ["items.tsv"]
    os.mkdir("other")
    with click.Context(click.Command("train")):
        new_training.claim_run_directory(tmp_path / "other")
    assert os.listdir("other") == [], "a folder that existed before stays"


@pytest.mark.rules("faults-R5")
def test_a_folder_that_another_process_removed_is_created_again(context, tmp_path, monkeypatch):
    runs, number = tmp_path / "runs", new_training.next_run_directory

    def removed_at_first(folder):
        monkeypatch.setattr(new_training, "next_run_directory", number)
        shutil.rmtree(folder)
        return number(folder)

    runs.mkdir()
    monkeypatch.setattr(new_training, "next_run_directory", removed_at_first)
    assert new_training.claim_run_directory(runs).is_dir()


def test_a_number_that_is_always_taken_is_an_error(context, tmp_path, monkeypatch):
    (tmp_path / "001").mkdir()
    monkeypatch.setattr(new_training, "next_run_directory", lambda folder: folder / "001")
    with pytest.raises(RunError, match="another folder at each of 1,000 attempts; name it with"):
        new_training.claim_run_directory(tmp_path)
