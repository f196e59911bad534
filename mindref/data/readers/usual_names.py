"""Usual names of the columns of a log: those of public data sets, and general ones.

Names are compared without case, spaces, underscores and hyphens. Several names for one kind in a
data set are separated by spaces. If a header has several names of a kind, the name of the best rank
is used; two names of that rank are ambiguous (specs/data.md, data-R89).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

KINDS = ("user", "item", "time", "title")
IGNORED_CHARACTERS = str.maketrans("", "", " _-")


class PublicLog(NamedTuple):
    """The column names of a public data set; "" if it has no such column."""

    name: str
    user: str
    item: str
    time: str = ""
    title: str = ""


PUBLIC_LOGS = (
    PublicLog("MovieLens (CSV)", "userId", "movieId", "timestamp", "title"),
    PublicLog("RecBole", "user_id", "item_id venue_id", "timestamp"),
    PublicLog("Amazon reviews 2014 and 2018", "reviewerID", "asin", "unixReviewTime", "title"),
    PublicLog("Amazon reviews 2023", "user_id", "parent_asin asin", "timestamp", "title"),
    PublicLog("RetailRocket", "visitorid", "itemid", "timestamp"),
    PublicLog("YooChoose", "session_id", "item_id", "timestamp"),
    PublicLog("Diginetica", "sessionId", "itemId", "eventdate", "product_name"),
    PublicLog("OTTO", "session", "aid", "ts"),
    PublicLog("REES46 (eCommerce behavior)", "user_id", "product_id", "event_time"),
    PublicLog("H&M", "customer_id", "article_id", "t_dat", "prod_name"),
    PublicLog("Complete Journey", "household_id", "product_id", "transaction_timestamp"),
    PublicLog("Dunnhumby (CSV)", "household_key", "PRODUCT_ID"),
    PublicLog("Ta Feng", "CUSTOMER_ID", "PRODUCT_ID", "TRANSACTION_DT"),
    PublicLog("Online Retail", "CustomerID", "StockCode", "InvoiceDate"),
    PublicLog("Olist", "customer_unique_id", "product_id", "order_purchase_timestamp"),
    PublicLog("Tmall (IJCAI-15)", "user_id", "item_id", "time_stamp"),
    PublicLog("Tianchi mobile", "user_id", "item_id", "time"),
    PublicLog("Yelp", "user_id", "business_id", "date", "name"),
    PublicLog("Google Local", "user_id", "gmap_id", "time", "name"),
    PublicLog("Foursquare", "userid", "venueid placeid", "datetime"),
    PublicLog("Last.fm HetRec", "userID", "artistID", "timestamp", "name"),
    PublicLog("LFM-1b", "user_id", "track_id artist_id", "timestamp", "track_name artist_name"),
    PublicLog("Million Song (Taste Profile)", "user_id", "song_id", "", "song_title"),
    PublicLog("Steam", "user_id username", "product_id game_id app_id", "date", "game_name"),
    PublicLog("Goodreads", "user_id", "book_id", "date_added", "title"),
    PublicLog("Book-Crossing", "User-ID", "ISBN", "", "Book-Title"),
    PublicLog("Food.com", "user_id", "recipe_id", "date", "name"),
    PublicLog("MyAnimeList", "user_id username", "anime_id", "", "name"),
    PublicLog("BeerAdvocate", "review_profilename", "beer_beerid", "review_time", "beer_name"),
    PublicLog("KuaiRec, MicroLens", "user_id", "video_id", "timestamp", "title"),
    PublicLog("Globo", "user_id", "click_article_id", "click_timestamp"),
    PublicLog("Deskdrop", "personId sessionId", "contentId", "timestamp", "title"),
    PublicLog("Outbrain", "uuid", "document_id", "timestamp"),
    PublicLog("MIND (news)", "user_id", "news_id", "time", "title"),
    PublicLog("Kion", "user_id", "item_id", "last_watch_dt", "title"),
    PublicLog("Yambda", "uid", "item_id", "timestamp"),
)
GENERAL = PublicLog(
    "(general)",
    "user uid user_name customer client_id member_id household account_id",
    "item iid product sku article movie goods_id",
    "time ts unix_time date_time event_timestamp created_at",
    "item_name item_title movie_title movie_name product_title",
)


def normalise_name(name: str) -> str:
    """Return a column name without case, spaces, underscores and hyphens."""
    return name.lower().translate(IGNORED_CHARACTERS)


ALL_LOGS = (*PUBLIC_LOGS, GENERAL)
# names of the first three ranks; all other names have the fourth rank
RANKED_NAMES = {
    "user": (
        "user_id uid user visitorid customer_id reviewerID member_id",
        "personId",
        "session_id session username",
    ),
    "item": (
        "item_id iid item movie_id product_id parent_asin track_id song_id book_id news_id"
        " article_id video_id",
        "",
        "asin venue_id artist_id game_id",
    ),
    "time": ("timestamp time ts datetime date unix_time unixReviewTime event_time", "", ""),
    "title": (
        "title item_name item_title movie_title movie_name product_name book_title",
        "track_name",
        "name game_name artist_name",
    ),
}


def names_by_rank(kind: str) -> tuple[frozenset[str], ...]:
    """Return the normalised names of a kind, one set for each rank."""
    ranks = [{normalise_name(name) for name in text.split()} for text in RANKED_NAMES[kind]]
    names = {normalise_name(name) for log in ALL_LOGS for name in getattr(log, kind).split()}
    return (*map(frozenset, ranks), frozenset(names.difference(*ranks)))


USUAL_NAMES = {kind: names_by_rank(kind) for kind in KINDS}
# parts of names that are not usual, for proposals in errors
NAME_PARTS = {
    "user": "user customer household client member visitor person account buyer reader session",
    "item": "item product article sku movie track song video book content game asin isbn code",
    "time": "timestamp time date day created when",
}
RATING_NAMES = (
    "rating", "ratings", "stars", "score", "overall", "bookrating", "reviewoverall", "userrating",
    "grade",
)  # fmt: skip


def usual_columns(kind: str, header: Sequence[str]) -> list[int]:
    """Return the indices of the columns with a usual name of a kind, all of the best rank."""
    normalised = [normalise_name(name) for name in header]
    ranks = ([i for i, x in enumerate(normalised) if x in names] for names in USUAL_NAMES[kind])
    return next(filter(None, ranks), [])  # data-R89


def similar_column(kind: str, header: Sequence[str], taken: Sequence[int] = ()) -> int:
    """Return the first column whose name is usual, or else has a part of such names, or -1."""
    usual = usual_columns(kind, header)
    names = [normalise_name(name) for name in header]
    similar = [i for part in NAME_PARTS[kind].split() for i, x in enumerate(names) if part in x]
    similar += [i for i, x in enumerate(names) if x == kind[0]]
    return next((i for i in (*usual, *similar) if i not in taken), -1)
