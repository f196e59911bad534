"""Find the log and its side files in a folder or an archive, and recognise its format.

Spec: specs/data.md, Reading. A format is recognised by the first bytes and lines of a file.
"""

from __future__ import annotations

from mindref.data.formats import FORMATS
from mindref.data.quoting import join_names, quote_text
from mindref.data.readers import delimited
from mindref.data.readers.advice import UnnamedColumnError, looks_like_header, name_columns
from mindref.data.readers.columns import Columns
from mindref.data.readers.data_file import DataFile, is_zip
from mindref.data.readers.lines import Head, is_binary, read_first_lines
from mindref.data.readers.text import split_fields
from mindref.errors import DataError, say

KNOWN_LOG_NAMES = ("ratings.dat", "u.data")


def recognise_format(file: DataFile, columns: Columns) -> str:
    """Return the name of the format. Errors: DataError if no format matches, or several."""
    names = matching_formats(file, columns)
    if len(names) == 1:
        return names[0]
    check_lines(file)
    if is_binary(read_first_lines(file)):
        raise DataError(say(str(file), "text in UTF-8", "a binary file or another encoding"))
    table = "\n".join(f"  {name:14} {x.help}" for name, x in FORMATS.items())
    expected = f"one format, not {' or '.join(names)}" if names else "a known format"
    first_line = quote_text(Head(file, columns).first_line, 200)
    delimiter, fields = delimited.read_header(file, columns)
    sample = split_fields(next(iter(read_first_lines(file)[1:]), ""), delimiter)
    if len(fields) > 1 and not names:
        header = fields if looks_like_header(fields) else None
        todo = f"{name_columns(header, sample if header else fields)}\nor name the format with"
    else:
        todo = "name its columns with --user, --item, --time, or the format with"
    todo += f" --format:\n{table}"
    fact = say(str(file), expected, f"the first line {first_line}")
    raise UnnamedColumnError(fact, todo)  # data-R21


def matching_formats(file: DataFile, columns: Columns) -> list[str]:
    """Return the formats of the lowest tier with a match. Several names: ambiguous."""
    head = Head(file, columns)
    for tier in sorted({x.tier for x in FORMATS.values()}):
        names = [name for name, x in FORMATS.items() if x.tier == tier and x.recognises(head)]
        if names:
            return names
    return []


def check_lines(file: DataFile) -> None:
    """Raise DataError for a file without lines."""
    if not read_first_lines(file):
        raise DataError(say(str(file), "a log", "an empty file"))


def find_log(file: DataFile, columns: Columns) -> DataFile:
    """Return the log in a folder or an archive. Another file is returned unchanged.

    Errors: DataError with a list of candidates if there is not exactly one.
    """
    if file.member or not (file.path.is_dir() or is_zip(file.path)):
        return file
    files = file.list_files()
    if len(files) == 1 and not file.path.is_dir():
        return files[0]
    for pattern in (*KNOWN_LOG_NAMES, ".inter"):  # data-R20
        matches = [candidate for candidate in files if matches_name(candidate.name, pattern)]
        if len(matches) == 1:
            return matches[0].single_file()
        if matches:
            raise several_logs_error(file, matches)
    files = [candidate for candidate in files if not candidate.is_documentation]
    matches = [candidate for candidate in files if is_recognised(candidate, columns)] or files
    if len(matches) == 1:
        return find_log(matches[0], columns)  # which may be an archive
    raise several_logs_error(file, matches)


def matches_name(name: str, pattern: str) -> bool:
    """Return whether a name equals the pattern, or ends with it if it begins with "." or "_"."""
    return name.endswith(pattern) if pattern.startswith((".", "_")) else name == pattern


def is_recognised(file: DataFile, columns: Columns) -> bool:
    """Return whether a file has a known format."""
    try:
        return bool(matching_formats(file.single_file(), columns))
    except DataError:
        return False


def several_logs_error(folder: DataFile, candidates: list[DataFile]) -> DataError:
    """Return the error with the list of candidates."""
    names = join_names(candidate.member or candidate.path.name for candidate in candidates)
    separator = ":" if candidates and candidates[0].member else "/"
    todo = f"name one as {folder}{separator}FILE"
    return DataError(say(str(folder), "one log", names or "no file", todo))


def find_side_files(log: DataFile, format_name: str) -> tuple[DataFile | None, DataFile | None]:
    """Return the item file and the user file of a format in the folder of its log."""
    log_format = FORMATS[format_name]
    return find_sibling(log, log_format.item_file), find_sibling(log, log_format.user_file)


def find_sibling(log: DataFile, pattern: str | None) -> DataFile | None:
    """Return the file of a name. Of an ending: the file with the log's stem, or the only one."""
    if pattern is None:
        return None
    matches = [sibling for sibling in log.sibling_files() if matches_name(sibling.name, pattern)]
    stem = log.name.rsplit(".", 1)[0]
    same_stem = [sibling for sibling in matches if sibling.name == stem + pattern]
    if not same_stem and pattern.startswith("_"):
        return None
    chosen = same_stem or matches
    return chosen[0].single_file() if len(chosen) == 1 else None
