"""mindref similar: formats, titles, filters and wrong input."""

import pytest

import mindref
from tests.runs import trained


@pytest.fixture
def items(run):
    """Items of the run, each with id and title."""
    model = mindref.load(run)
    return [(name, model.served.items.titles[i]) for name, i in model.served.dense.items()]


def test_similar_items_are_printed_in_each_format(cli, run, items):
    name, title = items[5]
    expected = mindref.load(run).similar_items(name, 4)
    table = cli.succeed("similar", run, name, "--top", 4)
    lines = table.out.splitlines()
    assert lines[0] == f"similar to {name}  {title}"
    for rank, (line, x) in enumerate(zip(lines[1:], expected, strict=True), 1):
        assert line == f"  {rank:>4}  {x.score:>8.3f}  {x.item}  {x.title}"
    document = cli.json("similar", run, name, "--top", 4)
    assert (document["item"], document["title"]) == (name, title)
    rows = [(x["rank"], x["item"], x["title"], x["score"]) for x in document["items"]]
    assert rows == [(rank, x.item, x.title, x.score) for rank, x in enumerate(expected, 1)]


@pytest.mark.rules("recall-R42", "recall-R47", "recall-R50")
def test_a_title_and_files_of_items_are_accepted(cli, run, items, tmp_path, unread_log):
    name, title = items[5]
    by_title = cli.succeed("similar", run, title.swapcase())
    assert by_title.out == cli.succeed("similar", run, name).out
    allowed = [x for x, _ in items[::2]]
    only, exclude = tmp_path / "only", tmp_path / "exclude"
    only.write_text("\n".join([*allowed, "nobody"]))
    exclude.write_text(f"{allowed[0]}\n")
    result = cli.succeed("similar", run, name, "--only", only, "--exclude", exclude, "--top", 500)
    assert len(result.out.splitlines()) == 1 + len(set(allowed[1:]) - {name})
    text = "items are not in the catalogue or untrained: 'nobody'"
    assert result.err == f"--only {only}: 1 of {len(allowed) + 1} {text}\n"


def test_a_family_without_vectors_is_refused(cli, tmp_path):
    run = trained(tmp_path / "run", model="item_knn")
    message = "items: expected a model with vectors of items, got a run of item_knn, which has only"
    assert message in cli.error_line("similar", run, "article-0001")
