"""Files that were edited, belong to another run or have another format raise errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import RunError
from mindref.recall.manifest import NAME
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import checkpoint, files, items, metadata
from mindref.run.files import sealed
from tests import spec_pages
from tests.runs import train_small_run
from tests.security.tampering import bind_arrays, edit_json, recall, recommend

EXAMPLE = spec_pages.examples("security")[0]


@pytest.mark.rules("security-R1")
def test_the_digest_matches_the_page():
    assert sealed(EXAMPLE["words"]) == EXAMPLE["sealed"]
    reordered = dict(reversed(EXAMPLE["words"].items()))
    assert sealed(reordered)["sha256"] == EXAMPLE["sealed"]["sha256"], "in any order"
    assert sealed(EXAMPLE["sealed"]) == EXAMPLE["sealed"]
    path = Path("x.json")
    assert files.StoredFile(path, "words", "").unseal(EXAMPLE["sealed"]) == EXAMPLE["words"]


@pytest.mark.rules("security-R1")
def test_settings_edited_by_hand_raise(run):
    before, stored = recommend(run), checkpoint.load_config(run)[0].window
    edit_json(run / "config.json", lambda words: words["settings"].update(window=3), seal=False)
    expected = r"config.json: expected the configuration of a run as it was written, got one that"
    for use in (load, resume_run, lambda run: recall(run, "auto")):
        with pytest.raises(RunError, match=rf"{expected} was .* by hand; put back"):
            use(run)
    edit_json(
        run / "config.json", lambda words: words["settings"].update(window=stored), seal=False
    )
    assert recommend(run) == before


@pytest.mark.rules("security-R1")
def test_an_edited_item_table_raises_and_resuming_restores_it(run):
    path = run / "items.tsv"
    original = path.read_bytes()
    path.write_bytes(original.replace(b"the", b"thy", 1))
    expected = "items.tsv: expected the catalogue of the run of .* got .*"
    with pytest.raises(RunError, match=f"{expected}; mindref train --resume RUN writes it again"):
        load(run)
    resume_run(run)
    assert path.read_bytes() == original


@pytest.mark.rules("security-R1")
def test_an_edited_index_manifest_rebuilds_the_index(run):
    edit_json(run / "index" / NAME, lambda words: words.update(effort=7), seal=False)
    first, second = (
        [line for line in recall(run).warnings if "built again" in line] for _ in range(2)
    )
    assert len(first) == 1
    assert first[0].startswith(
        f"{run / 'index' / NAME}: expected the manifest of an index as it was"
    )
    assert not second


def test_resuming_keeps_the_stored_titles_or_writes_those_of_the_log(run, monkeypatch):
    text = items.items_text
    before = (run / "items.tsv").read_bytes()

    def renamed(ids, counts, titles):
        return text(ids, counts, ["new" for _ in titles])

    monkeypatch.setattr(items, "items_text", renamed)
    resume_run(run)
    assert (run / "items.tsv").read_bytes() == before
    (run / "items.tsv").unlink()
    path = run / "optimiser.safetensors"
    state = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(RunError, match=r"optimiser\.safetensors"):
        resume_run(run)
    assert {x.title for x in recommend(run)} == {"new"}, "although the state is damaged"
    path.write_bytes(state)
    resume_run(run)
    assert {x.title for x in recommend(run)} == {"new"}


@pytest.mark.rules("security-R2")
@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "report.json"])
def test_a_file_of_another_run_raises(run, tmp_path, name):
    other = train_small_run(tmp_path / "other", user_features=["age"], seed=5)
    shutil.copy(other / name, run)
    with pytest.raises(RunError, match=rf"{name}: expected .* of the run of .*config.json, got"):
        resume_run(run) if name == "optimiser.safetensors" else load(run)


@pytest.mark.rules("security-R2")
def test_the_run_identity_includes_the_log_but_not_its_path(run):
    config, read = checkpoint.load_config(run)
    stored = checkpoint.run_identity(config, read)
    elsewhere = {**read, "source": {"place": "/elsewhere", "options": {}}}
    assert checkpoint.run_identity(config, elsewhere) == stored
    for name in ("log", "protocol", "sizes", "user_features", "threads"):
        assert checkpoint.run_identity(config, {**read, name: "another"}) != stored


@pytest.mark.rules("security-R2")
def test_a_run_without_a_newer_setting_keeps_its_identity(run):
    """A run of an earlier mindref, before the setting `epsilon`, is served, resumed and copied."""
    before, (config, _) = recommend(run), checkpoint.load_config(run)
    edit_json(run / "config.json", lambda words: words["settings"].pop("epsilon"))
    stored = json.loads((run / "config.json").read_text())
    facts = {x: stored[x] for x in ("settings", *metadata.IDENTITY_FACTS) if x in stored}
    bind_arrays(run, files.json_digest(facts))
    (run / "report.json").unlink()
    assert recommend(run) == before
    items.write_items(run / "items.tsv", ["x"], np.ones(1, np.int64), [""])
    resume_run(run).evaluate()
    model = load(run)
    assert model.config == config
    assert model.report
    model.save(run.parent / "copy")
    assert recommend(run.parent / "copy") == before
