"""The counts of real logs agree with what their publishers and our own parsing say."""

import pytest

from mindref.data.readers import read_log

pytestmark = pytest.mark.slow

FOURSQUARE = {
    "user": "UserId",
    "item": "VenueId",
    "time": "time_sort",
    "time_format": "day-first",
    "item_features": {"category": "Category"},
}
TAOBAO = {"user": 1, "item": 2, "time": 5, "item_features": {"category": 3}}
# path, options, users, items, events
COUNTS = [
    ("ml-1m", {}, 6040, 3706, 1_000_209),
    ("ml-100k", {}, 943, 1682, 100_000),
    ("ml-100k-recbole", {}, 943, 1682, 100_000),
    ("tmall-sslrec/derived_train.tsv.gz", {}, 31_882, 30_985, 357_412),
    ("amazon-s3rec/Toys_and_Games.txt", {}, 19_412, 11_924, 167_597),
    ("amazon-s3rec/Sports_and_Outdoors.txt", {}, 35_598, 18_357, 296_337),
    ("amazon-video-games-sasrec", {}, 31_013, 23_715, 287_107),
    ("amazon-games-llmrank", {}, 50_546, 16_859, 440_264),
    ("amazon-grocery-rechorus/train.csv.gz", {}, 14_681, 8_687, 121_892),
    ("taobao-userbehavior-head", {"columns": TAOBAO}, 815, 55_368, 84_475),
    ("lastfm-hetrec-recbole", {"keep_duplicates": True}, 1_362, 2_975, 64_286),
    ("lastfm-hetrec-recbole", {}, 1_362, 2_975, 64_286 - 40_158),
    ("foursquare-calgary-clsprec", {"columns": FOURSQUARE}, 130, 604, 9_317 - 2),
    ("yoochoose-100k/yoochoose-clicks-100k_train_full.txt.gz", {}, 17_794, 2_933, 70_278 - 1),
    ("yoochoose-100k/yoochoose-clicks-100k_test.txt", {}, 3_416, 1_771, 13_568),
    ("reddit-dcrec", {}, 14_486, 15_416, 317_992),
    ("diginetica-srgnn", {"format": "sessions"}, 186_670, 43_097, 906_140),
    (
        "book-crossing-caserec/book_crossing.zip:book_crossing/book_history.dat",
        {},
        2_946, 17_384, 272_678,
    ),
]  # fmt: skip


def read(folder, name, **options):
    if not (folder / name.split(":")[0]).exists():
        pytest.skip(f"no {name} among the real data sets")
    return read_log(f"{folder / name}", **options)


@pytest.mark.parametrize(("name", "options", "users", "items", "events"), COUNTS)
def test_counts(real_data, name, options, users, items, events):
    notes = read(real_data, name, **options).notes
    assert (notes["users"], notes["items"], notes["interactions"]) == (users, items, events)


def test_movielens_1m_is_complete(real_data):
    log = read(real_data, "ml-1m")
    assert log.notes["bad_lines"] == log.notes["duplicates"] == log.notes["unknown_items"] == 0
    assert log.notes["unused_items"] == 177
    assert log.notes["ties"] == 529_046
    assert all(log.titles)
    assert sum(not title.isascii() for title in log.titles) > 0
    assert {f.name: len(f.values) for f in log.item_features} == {"genres": 18}
    assert [f.name for f in log.user_features] == ["gender", "age", "occupation"]
    assert (log.times.min(), log.times.max()) == (956703932, 1046454590)


def test_the_two_formats_of_movielens_100k_agree(real_data):
    one, other = read(real_data, "ml-100k"), read(real_data, "ml-100k-recbole")
    assert list(one.item_ids) == list(other.item_ids)
    assert one.interactions.values.tolist() == other.interactions.values.tolist()
    assert one.notes["ties"] == other.notes["ties"] == 50_561


def test_taobao_ends_in_the_middle_of_a_line(real_data):
    log = read(real_data, "taobao-userbehavior-head", columns=TAOBAO)
    assert log.notes["bad_lines"] == 1
    assert log.bad_lines[0].endswith("line 84476: 4 fields instead of 5")
    assert len(log.item_features[0].values) == 2_914
    buys = {**TAOBAO, "keep": {4: ["buy"]}}
    assert read(real_data, "taobao-userbehavior-head", columns=buys).notes["interactions"] == 1_750


def test_lastfm_has_damaged_lines(real_data):
    dropped = read(real_data, "lastfm-hetrec-recbole", columns={"time_format": "ms"})
    assert dropped.notes["duplicates"] == 40_158
    assert dropped.times.min() == -428_720_400
    kept = read(real_data, "lastfm-hetrec-recbole", keep_duplicates=True)
    assert kept.notes["ties"] == 56_307


def test_tmall_has_ties(real_data):
    assert read(real_data, "tmall-sslrec/derived_train.tsv.gz").notes["ties"] == 21_723


def test_foursquare_has_categories_and_days_before_months(real_data):
    log = read(real_data, "foursquare-calgary-clsprec", columns=FOURSQUARE)
    assert log.notes["duplicates"] == 2
    assert len(log.item_features[0].values) == 154
    assert 1333411200 <= log.times.min() < 1333411200 + 86_400, "3 April 2012"
    assert 1379289600 <= log.times.max() < 1379289600 + 2 * 86_400, "16 September 2013"


def test_attributes_of_toys(real_data):
    log = read(real_data, "amazon-s3rec/Toys_and_Games.txt")
    assert len(log.item_features[0].values) == 1_027
    assert log.notes["unknown_items"] == 0


def test_games_have_titles(real_data):
    log = read(real_data, "amazon-games-llmrank")
    assert all(log.titles)


def test_positions_as_the_command_passes_them(real_data):
    columns = {"user": "1", "item": "2", "time": "5"}
    log = read(real_data, "taobao-userbehavior-head", columns=columns)
    assert log.notes["interactions"] == 84_475
