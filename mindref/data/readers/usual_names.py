"""Usual names of the columns of a log: those of public data sets, and general ones.

Names are compared without case, spaces, underscores and hyphens. If a header has several names of
a kind, the name of the best rank is used; two names of that rank are ambiguous (specs/data.md,
data-R89). The guide lists the names of each data set.
"""

from __future__ import annotations

from collections.abc import Sequence

IGNORED_CHARACTERS = str.maketrans("", "", " _-")


def normalise_name(name: str) -> str:
    """Return a column name without case, spaces, underscores and hyphens."""
    return name.lower().translate(IGNORED_CHARACTERS)


# kind -> the names of each rank, of all data sets in the table of the guide
RANKED_NAMES = {
    "user": (
        "user_id uid user visitorid customer_id reviewerID member_id",
        "personId",
        "session_id session username",
        "household_id household_key customer_unique_id review_profilename uuid customer client_id"
        " household account_id",
    ),
    "item": (
        "item_id iid item movie_id product_id parent_asin track_id song_id book_id news_id"
        " article_id video_id",
        "",
        "asin venue_id artist_id game_id",
        "aid StockCode business_id gmap_id placeid app_id ISBN recipe_id anime_id beer_beerid"
        " click_article_id contentId document_id product sku article movie goods_id",
    ),
    "time": (
        "timestamp time ts datetime date unix_time unixReviewTime event_time",
        "",
        "",
        "eventdate t_dat transaction_timestamp TRANSACTION_DT InvoiceDate order_purchase_timestamp"
        " date_added review_time click_timestamp last_watch_dt event_timestamp created_at",
    ),
    "title": (
        "title item_name item_title movie_title movie_name product_name book_title",
        "track_name",
        "name game_name artist_name",
        "prod_name song_title beer_name product_title",
    ),
}
USUAL_NAMES = {
    kind: [frozenset(map(normalise_name, names.split())) for names in ranks]
    for kind, ranks in RANKED_NAMES.items()
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
