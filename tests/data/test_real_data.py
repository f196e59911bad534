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
    assert (log.notes["unused_items"], log.notes["ties"]) == (177, 529_046)
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
    buys = {**TAOBAO, "keep": {"4": ["buy"]}}
    assert read(real_data, "taobao-userbehavior-head", columns=buys).notes["interactions"] == 1_750


def test_other_logs_have_their_duplicates_features_and_titles(real_data):
    milliseconds = read(real_data, "lastfm-hetrec-recbole", columns={"time_format": "ms"})
    assert (milliseconds.notes["duplicates"], milliseconds.times.min()) == (40_158, -428_720_400)
    assert read(real_data, "tmall-sslrec/derived_train.tsv.gz").notes["ties"] == 21_723
    visits = read(real_data, "foursquare-calgary-clsprec", columns=FOURSQUARE)
    assert (visits.notes["duplicates"], len(visits.item_features[0].values)) == (2, 154)
    assert 0 <= visits.times.min() - 1333411200 < 86_400, "3 April 2012, day before month"
    toys = read(real_data, "amazon-s3rec/Toys_and_Games.txt")
    assert (len(toys.item_features[0].values), toys.notes["unknown_items"]) == (1_027, 0)
    assert all(read(real_data, "amazon-games-llmrank").titles)
