"""Exported vectors hold what recall uses: items, interests, histories, the rule of the score."""

import shutil
import sys
from unittest.mock import Mock

import numpy as np
import pytest

import mindref
from mindref.errors import ConfigError, DataError, RunError
from mindref.models.serving import compute_interests
from mindref.recommender import export as vector_export
from mindref.recommender.export import export_vectors, verify_export
from mindref.run import items as catalogue
from mindref.run import vector_files
from tests.list_requests import recalled
from tests.runs import change_json, trained

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")


@pytest.fixture
def run(mind_run, tmp_path):
    """A run whose users have one to four active interests, with untrained items."""
    return shutil.copytree(mind_run, tmp_path / "run")


def read_tables(folder):
    """Return the rows of the three tables without vectors, and the vectors of the first two."""
    columns = {name: parquet.read_table(folder / f"{name}.parquet") for name in
               ("items", "interests", "histories")}  # fmt: skip
    rows = [
        list(zip(*(table[c].to_pylist() for c in table.column_names if c != "vector"), strict=True))
        for table in columns.values()
    ]
    vectors = [
        np.array(columns[name]["vector"].to_pylist(), np.float32) for name in ("items", "interests")
    ]
    return rows, vectors


@pytest.fixture
def exported(run, tmp_path, monkeypatch):
    """A served run, and the tables of its export in blocks of 25 users."""
    monkeypatch.setattr(vector_export, "USERS_PER_BLOCK", 25)
    facts = export_vectors(run, tmp_path / "out", all_users=True)
    assert facts["warnings"] == []
    return mindref.load(run).served, *read_tables(tmp_path / "out"), facts


@pytest.mark.rules("serving-R1", "model-R43")
def test_the_item_table_has_the_servable_items(exported):
    served, (items, _, _), (vectors, _), facts = exported
    ids, counts, titles = served.items
    assert items == [(ids[i], titles[i], counts[i]) for i in served.servable.ids]
    assert len(items) < len(ids)
    assert any(title for _, title, _ in items)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, served.item_vectors)
    assert facts["items"]["shape"] == list(vectors.shape)


@pytest.mark.rules("serving-R2", "serving-R3")
def test_the_tables_of_users_have_active_interests_and_histories(exported):
    served, (_, interests, histories), (_, vectors), facts = exported
    names = list(served.log.user_ids)
    behaviours, profiles, _ = served.encode_users(names)
    rows = served.servable.select(behaviours)
    computed = compute_interests(served.model, rows, profiles, served.backend)
    assert interests == [(names[user], k) for user, k in np.argwhere(computed.active)]
    assert len({k for _, k in interests}) > 1
    np.testing.assert_allclose(vectors, computed.vectors[computed.active], rtol=1e-5, atol=1e-7)
    ids = served.items.ids
    assert histories == [(name, ids[i]) for case, name in enumerate(names) for i in rows.row(case)]
    counts = {"users": len(names), "interests": len(interests), "behaviours": len(histories)}
    assert facts["users"] == counts


@pytest.mark.rules("serving-R4")
@pytest.mark.parametrize(
    "settings",
    [{"score": "sum"}, {"normalise": True}, {"dtype": "float64", "logits": "per_call"},
     {"model": "youtube_dnn"}, {"model": "maxmf"}],
    ids=str,
)  # fmt: skip
def test_lists_from_the_tables_are_those_of_recall(settings, tmp_path):
    run = trained(tmp_path / "run", backend="numpy", **settings)
    facts = export_vectors(run, tmp_path / "out", all_users=True)
    (items, interests, histories), (matrix, vectors) = read_tables(tmp_path / "out")
    row_of = {name: row for row, (name, _, _) in enumerate(items)}
    for answer in recalled(run, n=7, index="exact"):
        queries = vectors[[user == answer.user for user, _ in interests]]
        if facts["score"]["interests"] == "sum":
            queries = queries.sum(axis=0, keepdims=True)
        scores = (matrix @ queries.T).max(axis=1)
        scores[[row_of[item] for user, item in histories if user == answer.user]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:7]
        expected = np.array([x.score for x in answer.items])
        np.testing.assert_allclose(scores[best], expected, rtol=1e-4, atol=1e-6)
        clear = np.diff(-expected) > 1e-5  # no tie with the next item
        for rank in np.flatnonzero(np.append(clear, False) & np.insert(clear, 0, True)):
            assert items[best[rank]][0] == answer.items[rank].item
    assert facts["score"]["normalised"] == settings.get("normalise", False)
    if settings.get("normalise"):
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, rtol=1e-5)


@pytest.mark.rules("serving-R5")
def test_two_exports_are_the_same_bytes_in_blocks_of_any_number(run, tmp_path, monkeypatch):
    monkeypatch.setattr(vector_export, "USERS_PER_BLOCK", 16)
    monkeypatch.setattr(vector_files, "ROWS", 32)
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        export_vectors(run, folder, all_users=True)
    first, second = ({x.name: x.read_bytes() for x in folder.iterdir()} for folder in folders)
    assert first == second
    (items, interests, histories), (matrix, vectors) = read_tables(folders[0])
    assert (len(items), len(interests)) == (len(matrix), len(vectors))
    assert len({user for user, _ in histories}) == 60
    assert parquet.ParquetFile(folders[0] / "items.parquet").num_row_groups > 1


@pytest.mark.rules("serving-R5")
def test_vectors_of_one_block_of_users_are_in_memory(run, tmp_path, monkeypatch):
    monkeypatch.setattr(vector_export, "USERS_PER_BLOCK", 16)
    compute = Mock(wraps=vector_export.compute_interests)
    monkeypatch.setattr(vector_export, "compute_interests", compute)
    export_vectors(run, tmp_path / "out", all_users=True)
    assert [len(call.args[1]) for call in compute.mock_calls] == [16, 16, 16, 12]


@pytest.mark.rules("serving-R6")
@pytest.mark.parametrize("model", ["item_knn", "random"])
def test_a_family_of_scores_is_rejected_before_the_model_is_read(model, tmp_path):
    run = trained(tmp_path / "run", model=model)
    (run / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(
        ConfigError, match=rf"--to vectors: .* got a run of {model}, which has only"
    ):
        export_vectors(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.rules("serving-R7")
def test_an_id_that_utf_8_cannot_encode_is_an_error_and_a_title_is_escaped(run, tmp_path):
    ids, counts, titles = catalogue.read_items(run / "items.tsv")
    ids[7:10], titles[7:10] = ["a\tb\n", "caf\u00e9\\n", "plain"], ["", "", "title \ud83d"]
    rewrite_items(run, ids, counts, titles)
    export_vectors(run, tmp_path / "out")
    table = parquet.read_table(tmp_path / "out" / "items.parquet")
    assert set(ids[7:10]) <= set(table["id"].to_pylist())
    assert "title \\ud83d" in table["title"].to_pylist()
    ids[7] = "lone \ud800"
    rewrite_items(run, ids, counts, titles)
    with pytest.raises(DataError, match=r"item 'lone \\ud800': expected an id .*; rename it"):
        export_vectors(run, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def rewrite_items(run, *columns):
    """Write another catalogue into a run, with its digest."""
    digest = catalogue.write_items(run / "items.tsv", *columns)
    with change_json(run / "config.json") as config:
        config["items"] = digest


@pytest.mark.rules("serving-R8", "security-R15")
def test_the_manifest_covers_every_file_but_notes_of_the_user(run, tmp_path):
    folder = tmp_path / "out"
    export_vectors(run, folder, all_users=True)
    names = {path.name for path in folder.iterdir()}
    (folder / "README.md").write_text("licence: mine\n")
    facts = verify_export(folder)
    assert (facts["kind"], set(facts["files"])) == ("vectors", names - {"export.json"})
    for name in facts["files"]:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(RunError, match=f"{name}: expected sha256"):
            verify_export(folder)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_vectors_that_are_not_finite_are_an_error(bad, run, tmp_path, monkeypatch):
    compute = vector_export.compute_interests

    def spoil(*arguments):
        computed = compute(*arguments)
        return computed._replace(vectors=np.full(computed.vectors.shape, bad))

    monkeypatch.setattr(vector_export, "compute_interests", spoil)
    with pytest.raises(RunError, match="vectors of the run: expected finite numbers in float32"):
        export_vectors(run, tmp_path / "out", all_users=True)
    assert not (tmp_path / "out").exists()


def test_without_pyarrow_there_is_an_error_before_the_run_is_read(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (run / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"--to vectors: expected pyarrow, got none; pip install"):
        export_vectors(run, tmp_path / "out")
