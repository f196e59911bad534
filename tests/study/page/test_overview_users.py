"""The overview of a file with several traced users, and wrong addresses."""

import pytest

from mindref.study.exercises.workspace import Workspace
from mindref.study.page import write_page
from mindref.study.page_users import make_page_users

pytestmark = pytest.mark.slow
RULES = ["most-separated", "longest"]  # traced; the overview has a third user


@pytest.fixture(scope="module")
def two_users(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    users = make_page_users(None, None, RULES, Workspace(folder / "none"))
    write_page([x.trace for x in users], folder / "m.html", derived=[x.derived for x in users])
    return folder / "m.html"


@pytest.fixture
def reader(opened, two_users):
    reader = opened(two_users, reduced_motion="reduce")
    yield reader
    assert reader.errors == []


def menu_user(reader):
    """Return the id of the user of the overview."""
    return reader.page.inner_text("#picture-user option:checked").partition(":")[0]


def test_the_overview_names_the_user_of_the_other_tabs(reader):
    menu = reader.page.eval_on_selector_all("#picture-user option", "x => x.map(y => y.text)")
    first, second, third = (text.partition(":")[0] for text in menu)
    assert reader.page.query_selector("#traced") is None
    reader.page.select_option("#picture-user", "2")
    assert f"show the numbers of {first}:" in reader.page.inner_text("#traced")
    reader.page.select_option("#picture-user", "1")
    assert reader.page.query_selector("#traced") is None
    assert f"User {second}," in reader.page.inner_text("#about")
    reader.page.select_option("#picture-user", "2")
    assert menu_user(reader) == third
    assert f"show the numbers of {second}:" in reader.page.inner_text("#traced")


@pytest.mark.parametrize("place", ["1/0", "2/3/1"])
def test_the_menu_of_the_header_sets_the_user_of_the_overview(reader, place):
    names = reader.page.eval_on_selector_all("#user option", "x => x.map(y => y.text)")
    reader.at(view="overview", picture=place)
    for number in (1, 0):
        reader.page.select_option("#user", str(number))
        assert menu_user(reader) == names[number].partition(":")[0]
        assert reader.page.query_selector("#traced") is None
        films = reader.page.locator("#tab .bars tbody tr").count()
        reader.at(view="pictures", user=number)
        assert reader.page.locator("#picture-3 tbody tr").count() == films
        reader.at(view="overview", user=number, picture=f"{number}/0")


def test_an_address_with_a_user_opens_the_overview_of_the_user(reader):
    reader.at(user=1)
    assert menu_user(reader) == reader.page.inner_text("#about").split("User ")[1].split(",")[0]


@pytest.mark.parametrize(
    "place", ["1.5", "-1/0", "0/2.5", "0/-1", "0/1/2.5", "1e0", "0x1", "3/0", " 1", "//", "NaN"]
)
def test_a_wrong_address_shows_the_defaults(opened, two_users, place):
    reader = opened(two_users, f"#view=overview&picture={place}", reduced_motion="reduce")
    assert reader.errors == []
    assert reader.page.input_value("#picture-user") == "0"
    position = "1" if place == "0/1/2.5" else "0"
    assert reader.page.input_value("#picture-position") == position
    assert reader.page.input_value("#picture-interests") == "4"
