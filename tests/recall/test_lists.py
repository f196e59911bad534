"""Lists for people."""

import io

import pytest

from mindref.recall import lists
from mindref.recall.lists import Recommendation, UserList


@pytest.mark.parametrize(
    ("interests", "length", "text"),
    [
        (2, 5, "user u: 5 behaviours, 2 interests\ninterest 0\n"),
        (1, 1, "user u: 1 behaviour, 1 interest\ninterest 0\n"),
        (0, 5, "user u: 5 behaviours, scored without interests\n"),
    ],
)
def test_a_table_has_the_items_below_the_interest_that_brought_them(interests, length, text):
    stream = io.StringIO()
    items = [Recommendation("a", "", 2.0, 0), Recommendation("b", "Bee", 1.0, 0)]
    lists.write_table(stream, UserList("u", length, interests, [], [], items))
    assert stream.getvalue() == f"{text}     1     2.000  a\n     2     1.000  b  Bee\n"
