"""Lists for people."""

import io

from mindref.recall import lists
from mindref.recall.lists import Recommendation, UserList


def said(interests, length=5):
    stream = io.StringIO()
    items = [Recommendation("a", "", 2.0, 0), Recommendation("b", "Bee", 1.0, 0)]
    lists.write_table(stream, UserList("u", length, interests, [], [], items))
    return stream.getvalue()


def test_items_stand_below_the_interest_that_brought_them():
    assert said(2).startswith(
        "user u: 5 behaviours, 2 interests\ninterest 0\n     1     2.000  a\n"
    )


def test_one_behaviour_has_no_plural():
    assert said(1, 1).startswith("user u: 1 behaviour, 1 interest\n")


def test_a_family_without_vectors_is_not_said_to_have_an_interest_0_of_0():
    expected = "user u: 5 behaviours, scored without interests\n     1     2.000  a\n"
    assert said(0) == expected + "     2     1.000  b  Bee\n"
