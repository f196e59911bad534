"""items.tsv stores any catalogue, and reading it returns the same catalogue."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mindref.errors import RunError
from mindref.run import items

NASTY = st.text(st.sampled_from("\\\t\n\rtnrud8\ud800\udfffé\x85\u2028 "), max_size=12)
ANY = st.text(st.characters(), max_size=20)  # surrogates among them
IDS = ["plain", "a\tb", "line\nend", "back\\slash", "return\r", "\\t", "Amélie", "\u2028", "\ud800"]
TITLES = ["", "\t", "\n\n", "\\", "\r\n", "\\n", "千と千尋", "\x85", "\udfff"]


def test_a_line_is_an_item_in_the_order_of_dense_ids(tmp_path):
    items.write_items(tmp_path / "items.tsv", ["b", "a"], np.array([3, 0]), ["B", ""])
    expected = "id\tdense\tcount\ttitle\nb\t0\t3\tB\na\t1\t0\t\n"
    assert (tmp_path / "items.tsv").read_bytes() == expected.encode()


def test_a_log_without_titles_has_empty_ones(tmp_path):
    items.write_items(tmp_path / "items.tsv", ["a"], np.array([1]), None)
    found = items.read_items(tmp_path / "items.tsv")
    assert found.titles == [""]
    assert found.label(0) == "a"


@given(rows=st.lists(st.tuples(NASTY | ANY, st.integers(0, 2**40), NASTY | ANY), max_size=5))
@example(rows=list(zip(IDS, range(9), TITLES, strict=True)))
def test_a_catalogue_is_read_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("items") / "items.tsv"
    ids, counts, titles = ([row[column] for row in rows] for column in range(3))
    items.write_items(path, ids, np.array(counts, np.int64), titles)
    assert items.read_items(path) == items.Items(ids, counts, titles)
    text = path.read_text("utf-8").translate({ord("\n"): None, ord("\t"): None})
    assert "Cc" not in map(unicodedata.category, text), "no control characters"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("id\tdense\tcount\ttitle\na\t0\t1\tA\nb\t1\tx\tB\n", "line 3"),
        ("id\tdense\tcount\ttitle\na\t0\t1\n", "line 2"),
        ("id\tdense\tcount\ttitle\na\t1\t1\tA\n", "line 2"),
        ("id\tdense\tcount\ttitle\na\t0\t1\tA", "line 2: .* whole lines"),
        ("item\ttitle\n", "the header"),
        ("", "line 1: .* the header"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, where):
    (tmp_path / "items.tsv").write_text(text)
    with pytest.raises(RunError, match=rf"items.tsv.*{where}.*; mindref train --resume"):
        items.read_items(tmp_path / "items.tsv")
