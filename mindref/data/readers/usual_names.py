"""Usual names of the columns of a log: those of public data sets, and general ones.

Names are compared without case, spaces, underscores and hyphens. Several names for one kind in a
data set are separated by spaces; a header with two of them is ambiguous (specs/data.md).
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
    PublicLog("Diginetica", "sessionId userId", "itemId", "eventdate", "product_name"),
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
    PublicLog("Steam", "username user_id", "product_id app_id game_id", "date", "game_name"),
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
USUAL_NAMES = {
    kind: frozenset(normalise_name(x) for log in ALL_LOGS for x in getattr(log, kind).split())
    for kind in KINDS
}
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
    """Return the indices of the columns with a usual name of a kind of `USUAL_NAMES`."""
    names = USUAL_NAMES[kind]
    return [i for i, name in enumerate(header) if normalise_name(name) in names]


def similar_column(kind: str, header: Sequence[str], taken: Sequence[int] = ()) -> int:
    """Return the first column whose name is usual, or else has a part of such names, or -1."""
    usual = usual_columns(kind, header)
    names = [normalise_name(name) for name in header]
    similar = [i for part in NAME_PARTS[kind].split() for i, x in enumerate(names) if part in x]
    similar += [i for i, x in enumerate(names) if x == kind[0]]
    return next((i for i in (*usual, *similar) if i not in taken), -1)
