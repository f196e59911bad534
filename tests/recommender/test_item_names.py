"""Items by id or title, and the closest titles."""

import pytest

from mindref.errors import DataError
from mindref.recommender.serving import item_names
from mindref.recommender.serving.item_names import ItemNames
from mindref.run.items import Items

IDS = ["1", "2", "3", "4", "5", "Heat"]
TITLES = ["Toy Story (1995)", "Toy Story 2 (1999)", "Heat", "HEAT ", "", "The  Matrix"]
NAMES = ItemNames(Items(IDS, [5, 9, 1, 1, 7, 2], TITLES), {x: i for i, x in enumerate(IDS)})


@pytest.mark.rules("recall-R50")
def test_an_id_has_priority_over_a_title():
    assert NAMES.find("Heat", "item") == 5
    assert NAMES.find("3", "item") == 2
    assert NAMES.find("toy  story (1995)", "item") == 0
    assert NAMES.find("THE MATRIX", "item") == 5
    for unknown in ("toy story", "", " ", "6"):
        assert NAMES.find(unknown, "item") is None


@pytest.mark.rules("recall-R50")
def test_a_title_of_several_items_is_an_error_with_their_ids():
    expected = "item: expected the title of one item, or an id, got 'heat', the title of 2 items"
    with pytest.raises(DataError, match=f"{expected}; ids: '3', '4'"):
        NAMES.find("heat", "item")


@pytest.mark.rules("recall-R50")
def test_only_titles_of_servable_items_count_and_an_untrained_id_is_no_title():
    names = ItemNames(NAMES.items, {x: i for i, x in enumerate(IDS) if x not in ("4", "Heat")})
    assert names.find("heat", "item") == 2
    assert names.find("Heat", "item") is None
    assert names.find("The Matrix", "item") is None


@pytest.mark.rules("recall-R50")
def test_the_closest_titles_contain_the_text_or_are_similar():
    assert NAMES.closest("story") == ["2 'Toy Story 2 (1999)'", "1 'Toy Story (1995)'"]
    assert NAMES.closest("Toy Stroy (1995)")[0] == "1 'Toy Story (1995)'"
    assert NAMES.closest("to") == []
    assert NAMES.hint(["matrix", "the matirx", "zzz"], titles=True) == "closest: Heat 'The  Matrix'"
    assert NAMES.hint(["zzz"], titles=True) == ""
    error = str(NAMES.unknown_error(["matrix"], "ITEM", titles=True))
    assert error.startswith("ITEM: expected the id or the title")
    assert error.endswith("got 'matrix'; closest: Heat 'The  Matrix'")


@pytest.mark.rules("recall-R50")
def test_without_titles_similar_ids_are_proposed():
    ids = ["article-17", "article-18", "shirt"]
    names = ItemNames(Items(ids, [1, 2, 3], ["", "", ""]), {x: i for i, x in enumerate(ids)})
    assert names.closest("article-1") == ["article-18", "article-17"]
    assert names.find("", "item") is None


def test_numbers_that_share_digits_are_not_proposed():
    ids = ["83", "35", "32", "film-3"]
    dense = {x: i for i, x in enumerate(ids)}
    names = ItemNames(Items(ids, [1, 2, 3, 4], [""] * 4), dense)
    assert names.closest("3") == []
    assert names.closest("film3") == ["film-3"]
    numbers = ItemNames(Items(ids[:3], [1, 2, 3], [""] * 3), {x: dense[x] for x in ids[:3]})
    assert str(numbers.unknown_error(["3"], "ITEM", titles=True)).endswith("run lists all")


@pytest.mark.rules("recall-R54")
def test_where_only_ids_are_accepted_the_ids_of_titles_are_proposed():
    text = "a title is not accepted here; the ids of these titles"
    hint = NAMES.hint(["x", "TOY STORY (1995)", "heat", "heat"], titles=False)
    assert hint == f"{text}: 'TOY STORY (1995)': '1'; 'heat': '3', '4'"
    assert NAMES.hint(["toy story", "x"], titles=False) == ""
    error = NAMES.unknown_error(["the matrix"], "history", titles=False)
    expected = "history: expected the id of a trained item, got 'the matrix'"
    assert str(error) == f"{expected}; {text}: 'the matrix': 'Heat'"


@pytest.mark.rules("recall-R55")
def test_a_title_that_was_split_at_its_commas_is_proposed_in_quotes():
    titles = ["Fugitive, The (1993)", 'The "Good", the Bad', "Heat", ""]
    ids = ["1", "2", "3", "4"]
    names = ItemNames(Items(ids, [1] * 4, titles), {x: i for i, x in enumerate(ids)})
    text = "write a title with commas in double quotes: "
    assert names.comma_hint(["Fugitive", " The (1993)"]) == f"{text}'\"Fugitive, The (1993)\"'"
    row = ["3", "fugitive", " the (1993)", 'The "Good"', " the Bad", "Heat"]
    both = """'"fugitive, the (1993)","The ""Good"", the Bad"'"""
    assert names.comma_hint(row) == f"{text}{both}"
    quoted = names.comma_hint(["a", ' "Fugitive', ' The (1993)"'])  # a space before the quote
    assert quoted == f"{text}'\"Fugitive, The (1993)\"'"
    for other in ([], ["Heat"], ["Heat", ""], ["Fugitive", "x", " The (1993)"]):
        assert names.comma_hint(other) == ""


def test_the_error_for_an_untrained_item_says_what_a_trained_item_is():
    names = ItemNames(NAMES.items, {"1": 0})
    for titles in (False, True):
        error = names.unknown_error(["2", "3"], "item", titles=titles)
        assert str(error).endswith(
            "got '2', '3'; name an item that occurs in a training example or has trained features"
        )
    assert str(names.unknown_error(["zzz"], "item", titles=True)).endswith("run lists all")


def test_few_letters_are_compared_in_a_large_catalogue(monkeypatch):
    monkeypatch.setattr(item_names, "MAX_COMPARED", 1)
    names = ItemNames(NAMES.items, NAMES.dense)
    assert names.closest("Toy Stroy 2 (1999)") == ["2 'Toy Story 2 (1999)'"]
    assert names.closest("Heta") == []
