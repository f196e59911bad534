"""A file that was changed by hand, or is of another run or of another format, is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.errors import RunError
from mindref.recall.manifest import NAME
from mindref.recommender import load
from mindref.recommender.bulk import recall_lists
from mindref.recommender.trainer import resume_run
from mindref.run import array_files, checkpoint, files, items, metadata
from mindref.run.files import sealed
from tests import spec_pages
from tests.damage.damaged_runs import HISTORIES, train_small_run
from tests.security.hands import answer, change

EXAMPLE = spec_pages.examples("security")[0]


@pytest.mark.rules("security-R1")
def test_the_digest_of_the_page_is_that_of_the_code() -> None:
    assert sealed(EXAMPLE["words"]) == EXAMPLE["sealed"]
    turned = dict(reversed(EXAMPLE["words"].items()))
    assert sealed(turned)["sha256"] == EXAMPLE["sealed"]["sha256"], "in any order"
    assert sealed(EXAMPLE["sealed"]) == EXAMPLE["sealed"]
    path = Path("x.json")
    assert files.unsealed(path, EXAMPLE["sealed"], "words", "") == EXAMPLE["words"]


@pytest.mark.rules("security-R1")
def test_settings_that_were_changed_by_hand_are_refused(run: Path) -> None:
    before, known = answer(run), checkpoint.load_config(run)[0].window
    change(run / "config.json", lambda words: words["settings"].update(window=3), seal=False)
    expected = r"config.json: expected the configuration of a run as it was written, got one that"
    for use in (load, resume_run, lambda run: recall_lists(run, history=HISTORIES[0])):
        with pytest.raises(RunError, match=rf"{expected} was .* by hand; put back"):
            use(run)
    change(run / "config.json", lambda words: words["settings"].update(window=known), seal=False)
    assert answer(run) == before, "it is the one that was written"


@pytest.mark.rules("security-R1")
def test_a_title_that_was_changed_is_noticed_and_mended(run: Path) -> None:
    path = run / "items.tsv"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"the", b"thy", 1))
    with pytest.raises(RunError, match=r"items.tsv: expected the catalogue of the run of .* got"):
        load(run)
    resume_run(run)
    assert path.read_bytes() == whole


@pytest.mark.rules("security-R1")
def test_an_effort_that_was_changed_is_noticed(run: Path) -> None:
    change(run / "index" / NAME, lambda words: words.update(effort=1), seal=False)
    found = recall_lists(run, history=HISTORIES[0], kind="annoy")
    (said,) = [line for line in found.warnings if "built again" in line]
    assert said.startswith(f"{run / 'index' / NAME}: expected the manifest of an index as it was")
    whole = recall_lists(run, history=HISTORIES[0], kind="annoy")
    assert not [line for line in whole.warnings if "built again" in line]


def test_titles_that_changed_in_the_log_are_kept_as_they_were(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the catalogue is lost, it is written with the titles of now, and is whole."""
    text = items.items_text
    before = (run / "items.tsv").read_bytes()

    def renamed(ids: Any, counts: Any, titles: Any) -> str:
        return text(ids, counts, ["new" for _ in titles])

    monkeypatch.setattr(items, "items_text", renamed)
    resume_run(run)
    assert (run / "items.tsv").read_bytes() == before
    (run / "items.tsv").unlink()
    resume_run(run)
    assert {x.title for x in answer(run)} == {"new"}


@pytest.mark.rules("security-R2")
@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "report.json"])
def test_a_file_of_another_run_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    other = train_small_run(tmp_path / "other", user_features=["age"], seed=5)
    shutil.copy(other / name, run)
    with pytest.raises(RunError, match=rf"{name}: expected .* of the run of .*config.json, got"):
        resume_run(run) if name == "optimiser.safetensors" else load(run)


@pytest.mark.rules("security-R2")
def test_what_makes_a_run_is_settings_and_log_and_not_where_that_lies(run: Path) -> None:
    config, read = checkpoint.load_config(run)
    known = checkpoint.run_identity(config, read)
    elsewhere = {**read, "source": {"place": "/elsewhere", "options": {}}}
    assert checkpoint.run_identity(config, elsewhere) == known
    for name in ("log", "protocol", "sizes", "user_features", "threads"):
        assert checkpoint.run_identity(config, {**read, name: "another"}) != known


@pytest.mark.rules("security-R2")
def test_a_run_that_lacks_a_setting_of_today_is_still_its_own(run: Path) -> None:
    """As one of an earlier mindref: what is added to the settings is no other run."""
    before, (config, _) = answer(run), checkpoint.load_config(run)
    arrays = {x: array_files.load_arrays(run / x) for x in (array_files.MODEL, array_files.STATE)}
    change(run / "config.json", lambda words: words["settings"].pop("epsilon"))
    known = json.loads((run / "config.json").read_text())
    whose = files.json_digest(
        {x: known[x] for x in ("settings", *metadata.IDENTITY_FACTS) if x in known}
    )
    for name, (some, words) in arrays.items():
        array_files.save_arrays(run / name, some, {**words, "run": whose})
    (run / "report.json").unlink()
    assert answer(run) == before
    items.write_items(
        run / "items.tsv", ["x"], np.ones(1, np.int64), [""]
    )  # so that all is written
    resume_run(run).evaluate()
    model = load(run)
    assert model.config == config
    assert model.report
    model.save(run.parent / "copy")
    assert answer(run.parent / "copy") == before


@pytest.mark.rules("security-R3")
@pytest.mark.parametrize("number", [1, 3, "2", None])
def test_another_format_is_said_before_a_digest(run: Path, number: Any) -> None:
    change(run / "config.json", lambda words: words.update(format=number), seal=False)
    expected = f"config.json: expected format 2, got {number}; use the mindref that wrote it, or"
    with pytest.raises(RunError, match=expected):
        load(run)
