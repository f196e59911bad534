"""First contact with a log: usual names, proposals in errors, checks before reading, hints."""

import re

import pytest

from mindref import Recommender
from mindref.data.frames import from_arrays
from mindref.data.readers import FeatureNames, read_log, usual_names
from mindref.data.readers.advice import reading_hints
from mindref.errors import ConfigError, DataError
from tests import spec_pages
from tests.data.reading import rows, table, write

KINDS = ("user", "item", "time", "title")


GUIDE = spec_pages.SPECS.parent / ".site" / "pages" / "guide" / "data.md"


def page_table(header):
    """Return the rows of a table of page or guide: its first cell, then the names of each kind."""
    both = spec_pages.text("data") + GUIDE.read_text(encoding="utf-8")
    text = both.partition(header)[2].partition("\n\n")[0]
    table = [[x.strip() for x in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return [(name, *(re.findall("`(.+?)`", cell) for cell in cells)) for name, *cells in table]


LOGS = [pytest.param(*log[1:4], id=log[0]) for log in page_table("| data set | user |")]


@pytest.mark.rules("data-R86")
def test_the_page_lists_the_usual_names():
    _, *ranks = zip(*page_table("| rank | user |")[:3], strict=True)
    _, *data_sets = zip(*page_table("| data set | user |"), strict=True)
    for kind, first_ranks, columns in zip(KINDS, ranks, data_sets, strict=True):
        assert [x.split() for x in usual_names.RANKED_NAMES[kind]][:3] == list(first_ranks)
        listed = {usual_names.normalise_name(x) for names in columns for x in names}
        assert listed == frozenset().union(*usual_names.USUAL_NAMES[kind])


@pytest.mark.rules("data-R86", "data-R89")
@pytest.mark.parametrize(("users", "items", "times"), LOGS[:-1])  # without the general names
@pytest.mark.parametrize("step", [1, -1])
def test_a_log_with_all_names_of_a_public_log_is_read(tmp_path, users, items, times, step):
    """The first name of each kind is that of the column that is read, in any order."""
    names = ["price", *users, *items, *times]
    first = {users[0]: "u", items[0]: "a"}
    values = [first.get(x, "5" if x in times else "other") for x in names]
    path = write(tmp_path / "log", [",".join(names[::step]), ",".join(values[::step])])
    read = read_log(path)
    assert rows(read) == {"u": ["a"]}
    assert (read.times is not None) == bool(times)


@pytest.mark.rules("data-R86", "data-R89")
@pytest.mark.parametrize("kind", KINDS)
def test_each_name_is_usual_and_a_name_of_a_better_rank_is_used(kind):
    ranks = usual_names.USUAL_NAMES[kind]
    for number, names in enumerate(ranks):
        for name in sorted(names):
            assert usual_names.usual_columns(kind, ["x", name.upper()]) == [1]
            for other in sorted(frozenset().union(*ranks[number + 1 :])):
                assert usual_names.usual_columns(kind, [other, "x", name]) == [2], (name, other)


@pytest.mark.rules("data-R86")
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("user", ["user_id", "customer_id"]),
        ("user", ["session", "username"]),
        ("item", ["item_id", "track_id"]),
        ("time", ["time", "date"]),
        ("time", ["created_at", "t_dat"]),
    ],
)
def test_two_names_of_one_rank_are_an_error_with_an_option(tmp_path, kind, names):
    others = [x for x in ("user", "item") if x != kind]
    header = [*others, *names]
    path = write(tmp_path / "log", [",".join(header), ",".join("1" for _ in header)])
    message = f"one column of the {kind}, got {names[0]} and {names[1]}; .*--{kind} {names[0]}"
    with pytest.raises(DataError, match=message):
        read_log(path)
    assert read_log(path, columns={kind: names[1]}).notes["interactions"] == 1


@pytest.mark.rules("data-R86", "data-R101")
@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            ["household,sku code,t", "h1,77,2012-04-13"],
            ["--user household --item 'sku code' ", "such as '77'", "first line 'household,sku"],
        ),
        (["who;what;when", "h1;77;5"], ["--user COLUMN --item COLUMN --time when", "such as '77'"]),
        (["buyer_nr,user_id,prods", "b,u,p"], ["--user user_id --item COLUMN"]),
        (["17,abc,3.5", "18,abd,4"], ["--user 1 --item 2 --time 3", "such as 'abc'"]),
        (["1,2,pv,1511544070,x", "2,3,pv,1511544071,y"], ["--user 1 --item 2 --time 4."]),
        (["2012-04-13;17;18;5", "2012-04-14;17;19;5"], ["--user 2 --item 3 --time 1."]),
        (["1,2", "2,3"], ["--user 1 --item 2. "]),
        (['{"hh": 3, "sku": "x"}'], ["a column of the user", "--item sku", "such as '3'"]),
        (["h1 77 5 x", "h1 78 5 x"], ["sessions"]),
        ([",".join(f"c{i}" for i in range(40)), "1,2"], ["and 20 more"]),
        (["\x1b[2J,b", "\x1b,2"], ["--user COLUMN"]),
    ],
)
def test_unknown_columns_are_listed_with_an_option_line(tmp_path, lines, parts):
    with pytest.raises(DataError) as caught:
        read_log(write(tmp_path / "log", lines))
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.rules("data-R86")
def test_a_similar_name_is_not_chosen(tmp_path):
    path = write(tmp_path / "log", ["userx,item,xtime", "u,a,1"])
    with pytest.raises(DataError, match="--user userx --item item --time xtime"):
        read_log(path)
    log = read_log(path, columns={"user": "userx"})
    assert log.times is None


@pytest.fixture
def log_path(tmp_path):
    """A damaged log, whose reading is another error."""
    return write(tmp_path / "log", ["user,item,time", "u,a,1", "u"])


@pytest.mark.rules("data-R87")
@pytest.mark.parametrize(("kind", "column"), [("item", "product_nr"), ("user", "town")])
def test_a_side_file_is_checked_before_the_log(tmp_path, log_path, kind, column):
    side = write(tmp_path / "side.csv", [f"{column},department", "a,Food"])
    message = f"side.csv: expected a header with a column of the {kind}, got {column}, department"
    with pytest.raises(DataError, match=f"{message}.*rename the column of the ids to {kind}_id"):
        read_log(log_path, **{f"{kind}_file": side})
    with pytest.raises(DataError, match="rename the column of the ids to '2', as in the log"):
        read_log(log_path, columns={kind: "2"}, **{f"{kind}_file": side})
    with pytest.raises(DataError, match=f"a header with a column of the {kind}, got nothing"):
        read_log(log_path, **{f"{kind}_file": write(side, "")})


@pytest.mark.rules("data-R87")
@pytest.mark.parametrize("kind", ["item", "user"])
def test_features_are_checked_before_the_log(tmp_path, log_path, kind):
    row = {"item": "a,Food", "user": "u,Food"}[kind]
    side = write(tmp_path / "side.csv", [f"{kind},department", row])
    wanted = {"features": FeatureNames(**{kind: ["department"]}), f"{kind}_file": side}
    with pytest.raises(ConfigError) as caught:
        read_log(log_path, **wanted)
    option = f"--{kind}-column department=department"
    for part in ("features of the data (none)", option, f"the columns {kind}, department"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match=f"{kind}-column brand=COLUMN"):
        read_log(log_path, features=FeatureNames(**{kind: ["brand"]}))
    named = {f"{kind}_features": {"department": "department"}}
    assert read_log(log_path, **wanted, columns=named, max_bad_lines=1).notes["items"] == 1


@pytest.mark.rules("data-R87", "data-R101")
def test_a_feature_of_the_log_is_known_and_a_missing_column_lists_both_files(tmp_path):
    path = write(tmp_path / "log", ["user,item,kind", "u,a,x"])
    columns = {"item_features": {"kind": "kind"}}
    assert read_log(path, columns=columns, features=FeatureNames(["kind"])).item_features
    items = write(tmp_path / "items", ["item,brand", "a,B"])
    files = "got user, item, kind; the item file has item, brand$"
    for option in ({"item_features": {"colour": "colour"}}, {"title": "colour"}):
        with pytest.raises(DataError, match=f"log: expected a column 'colour'.*, {files}"):
            read_log(path, item_file=items, columns=option)
    with pytest.raises(DataError, match=r"'colour' \(title\), got user, item, kind$"):
        read_log(path, columns={"title": "colour"})


def command_hints(log, protocol="leave_last_out"):
    return reading_hints(log, exclude_seen=True, protocol=protocol, is_command=True)


@pytest.mark.rules("data-R88")
def test_repeats_are_counted_and_many_have_a_hint(tmp_path):
    log = table(tmp_path, ["u,a,1", "u,b,2", "u,a,3", "v,a,3", "u,a,3"], keep_duplicates=True)
    assert log.notes["repeats"] == 2
    (line,) = command_hints(log)
    assert re.match("40% of the interactions repeat an item.*; consider --include-seen$", line)
    few = table(tmp_path, ["u,a,1", *[f"u,i{i},{i}" for i in range(9)], "u,a,99"])
    hints = command_hints(few)
    assert (few.notes["repeats"], hints) == (1, [])


@pytest.mark.rules("data-R99")
def test_lists_include_seen_items_if_half_of_the_interactions_are_repeats(tmp_path):
    log = table(tmp_path, ["u,a,1", "u,b,2", "u,a,3", "v,a,3", "v,a,4", "v,a,5"])
    assert [log.excludes_seen(x) for x in (None, True, False)] == [False, True, False]
    options = {"protocol": "leave_last_out", "is_command": False}
    (line,) = reading_hints(log, exclude_seen=None, **options)
    assert re.match("50% .*, so lists include seen items; exclude_seen=True excludes them$", line)
    assert reading_hints(log, exclude_seen=False, **options) == []
    assert table(tmp_path, ["u,a,1", "u,b,2", "u,a,3"]).excludes_seen(None)


RATED = ["user,item,time,rating", *(f"u,i{i},{i},{i}" for i in range(1, 6))]


@pytest.mark.rules("data-R88")
@pytest.mark.parametrize(
    ("lines", "columns", "hint"),
    [
        (RATED, {}, "from 1 to 5 in the first lines, .*--at-least rating=4 would"),
        (["user,item,score", "u,a,0.5", "u,b,10"], {}, "from 0.5 to 10 .*--at-least score=7"),
        (["1::2::1::5", "1::3::5::6"], {}, "from 1 to 5"),
        (["1\t2\t1\t5", "1\t3\t5\t6"], {}, "from 1 to 5"),
        (["user:token\titem:token\trating:float", "u\ta\t1", "u\tb\t5"], {}, "from 1 to 5"),
        ([f'{{"user": 1, "item": {x}, "stars": {x}}}' for x in (1, 5)], {}, "from 1 to 5"),
        (RATED, {"at_least": {"rating": 4}}, None),
        (RATED, {"keep": {"4": ["4"]}}, None),
        *((["user,item,rating", "u,a,1", f"u,b,{x}"], {}, None) for x in (0, 1, 1000, "good")),
    ],
)
def test_a_column_of_ratings_has_a_hint(tmp_path, lines, columns, hint):
    log = read_log(write(tmp_path / "log", lines), columns=columns)
    assert len(log.hints) == (hint is not None)
    assert hint is None or re.search(hint, log.hints[0].line(is_command=True))


@pytest.mark.rules("data-R88")
def test_times_in_milliseconds_have_a_hint(tmp_path):
    lines = ["u,a,1433221332117", "u,b,1433221332118"]
    (hint,) = table(tmp_path, lines).hints
    assert hint.line(is_command=True).endswith("; consider --time-format ms")
    assert not table(tmp_path, lines, columns={"time_format": "ms"}).hints
    (hint,) = from_arrays(["u"], ["a"], [1433221332117]).hints
    assert hint.line(is_command=False).endswith("; consider times in seconds")


@pytest.mark.rules("data-R88")
@pytest.mark.parametrize(("unknown", "known", "is_hint"), [(500, 500, True), (500, 501, False)])
def test_a_user_with_half_of_the_interactions_has_a_hint(unknown, known, is_hint):
    users = ["NA"] * unknown + [f"u{i % 9}" for i in range(known)]
    log = from_arrays(users, [f"i{i}" for i in range(len(users))])
    lines = command_hints(log)
    assert len(lines) == is_hint
    assert not is_hint or lines[0].startswith("50% of the interactions have the user 'NA'; if it")
    one_user = from_arrays(["NA"] * 2000, list(range(2000)))
    assert command_hints(one_user) == []


@pytest.mark.rules("data-R88")
@pytest.mark.parametrize(
    ("times", "protocol", "is_hint"),
    [
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], "leave_last_out", True),
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], "last_basket", False),
        ([0, 0, 0, 1, 1, 1, 2, 2, 3], "leave_last_out", False),
        ([0, 0, 0, 0, 1, 1, 1, 1, 1], "leave_last_out", False),
        (None, "leave_last_out", False),
    ],
)
def test_a_log_of_baskets_has_a_hint(times, protocol, is_hint):
    log = from_arrays(["u"] * 9, [f"i{i}" for i in range(9)], times)
    lines = command_hints(log, protocol)
    assert len(lines) == is_hint
    assert not is_hint or re.search("of 3.0 items .*consider --split last_basket$", lines[0])


@pytest.mark.rules("data-R88")
def test_fit_logs_each_hint_once_and_names_its_arguments(tmp_path, caplog):
    """Each argument is copied from a hint of the first call into the second one."""
    times = [1433221332117 + i for i in range(1000)]
    lines = [f"NA,i{i // 2},{time},{i % 5 + 1}" for i, time in enumerate(times)]
    path = write(tmp_path / "log", ["user,item,time,stars", *lines, "u,i1,1433221332117,5"])

    def hints(**options):
        caplog.clear()
        with caplog.at_level("WARNING", "mindref"):
            Recommender(model="popularity").fit(path, **options)
        return [x.rpartition("; ")[2] for x in caplog.messages if x.startswith("hint: ")]

    user = "if it stands for unknown users, name another column with user"
    ratings = "at_least={'stars': 4} would keep the high ones"
    assert hints() == [ratings, "consider time_format='ms'", user, "consider exclude_seen=False"]
    assert hints(at_least={"stars": 0}, time_format="ms", exclude_seen=False) == [user]
