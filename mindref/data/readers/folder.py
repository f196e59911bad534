"""Find the log in a folder or an archive, and the item and user files beside it."""

from __future__ import annotations

from mindref.data.readers.columns import Columns
from mindref.data.readers.detect import candidates
from mindref.data.readers.place import Place, is_zip
from mindref.data.shown import listed
from mindref.errors import DataError, say

FAMOUS = ("ratings.dat", "u.data")
# form -> the files beside its log that describe items and users
BESIDE = {
    "movielens": ("movies.dat", "users.dat"),
    "movielens-tab": ("u.item", "u.user"),
    "recbole": (".item", ".user"),
    "sequences": ("_item2attributes.json", None),
}


def find_log(place: Place, columns: Columns) -> Place:
    """Return the log that a place holds, or the place itself when it is a file.

    Errors: DataError that lists the candidates when there is not exactly one.
    """
    if place.member or not (place.path.is_dir() or is_zip(place.path)):
        return place
    inside = place.inside()
    if len(inside) == 1 and not place.path.is_dir():
        return inside[0]
    for wanted in (*FAMOUS, ".inter"):  # data-R20
        found = [one for one in inside if fits(one.name, wanted)]
        if len(found) == 1:
            return found[0].only()
        if found:
            raise several(place, found)
    inside = [one for one in inside if not one.is_paper]
    found = [one for one in inside if is_log(one, columns)] or inside
    if len(found) == 1:
        return find_log(found[0], columns)  # which may be an archive
    raise several(place, found)


def fits(name: str, wanted: str) -> bool:
    """Tell whether a name is the wanted one, or ends with the wanted ending."""
    return name.endswith(wanted) if wanted.startswith((".", "_")) else name == wanted


def is_log(place: Place, columns: Columns) -> bool:
    """Tell whether a file has a recognisable form."""
    try:
        return bool(candidates(place.only(), columns))
    except DataError:
        return False


def several(place: Place, found: list[Place]) -> DataError:
    """Return the error that lists what could have been meant."""
    names = listed(one.member or one.path.name for one in found) or "no file"
    sign = ":" if found and found[0].member else "/"
    return DataError(say(str(place), "one log", names, f"name one as {place}{sign}FILE"))


def beside(log: Place, form: str) -> tuple[Place | None, Place | None]:
    """Return the item file and the user file that a form keeps beside its log."""
    item, user = BESIDE.get(form, (None, None))
    return neighbour(log, item), neighbour(log, user)


def neighbour(log: Place, wanted: str | None) -> Place | None:
    """Return the file of a name; of an ending, the one with the log's stem or else the only one."""
    if wanted is None:
        return None
    found = [one for one in log.beside() if fits(one.name, wanted)]
    stem = log.name.rsplit(".", 1)[0]
    own = [one for one in found if one.name == stem + wanted]
    if not own and wanted.startswith("_"):
        return None
    chosen = own or found
    return chosen[0].only() if len(chosen) == 1 else None
