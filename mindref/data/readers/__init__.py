"""Read a raw log: find the file, recognise its format, read it (specs/data.md, Reading).

Files: `data_file` (compressed files, archives), `lines`, `detect` (log of a folder, format).
Formats: `movielens`, `recbole`, `delimited`, `sequences`, `jsonl`, `parquet` with `parquet_file`.
Steps of the formats: `columns` (options, layout of a record), `text` with `text_blocks` (from lines
to fields), `interactions` (from fields to interactions), `tally` (counts of lines).
Item and user files: `side_files`.
Help for users: `usual_names`, `advice` (in errors and after reading).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Unpack

from mindref.arguments import LogPath, check_arguments
from mindref.data.assemble import NOTES, EmptyLogError, KeepKeywords, KeepOptions, assemble_log
from mindref.data.formats import FORMATS
from mindref.data.log import InteractionLog
from mindref.data.quoting import quantity_text
from mindref.data.readers import side_files
from mindref.data.readers.advice import time_hints
from mindref.data.readers.columns import Columns, ReaderInput, reject_options
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.detect import check_lines, find_log, find_side_files, recognise_format
from mindref.data.readers.side_files import NO_FEATURES, FeatureNames
from mindref.data.readers.tally import AUTO, Tally, check_damage_limit
from mindref.errors import ConfigError, DataError, say, value_text

__all__ = ["read_log", "Columns", "FeatureNames", "FORMATS"]


@check_arguments
def read_log(
    path: LogPath,
    *,
    format: str = AUTO,
    columns: Columns | Mapping[str, object] | None = None,
    item_file: LogPath | None = None,
    user_file: LogPath | None = None,
    max_bad_lines: int | str = AUTO,
    features: FeatureNames = NO_FEATURES,
    **keep: Unpack[KeepKeywords],
) -> InteractionLog:
    """Read the log at a path: a file (plain, gzip, zip), a folder, or `archive.zip:inner/name`.

    Spec: data. `format` is a name of `FORMATS` or "auto". `columns` is a `Columns`, or a mapping of
    its fields. `max_bad_lines` is "auto" or a number from 0, for each file. Without `item_file`
    and `user_file`, known side files in the folder of the log are read. `features` are checked
    before the log is read. The other keywords are the fields of `KeepOptions`.
    Errors: DataError for invalid data, ConfigError for an invalid option.
    """
    if format not in (AUTO, *FORMATS):
        raise ConfigError(say("format", f"{AUTO} or {' or '.join(FORMATS)}", repr(format)))
    if not hasattr(features, "check"):
        got = value_text(features, quoted=True)
        raise ConfigError(say("read_log: features", "a FeatureNames", got))
    limit = check_damage_limit(max_bad_lines)
    keep_options = KeepOptions(**keep)
    options = Columns.of(columns)
    file = find_log(DataFile.of(path), options).single_file()
    format_name = recognise_format(file, options) if format == AUTO else format
    log_format = FORMATS[format_name]
    default_items, default_users = find_side_files(file, format_name)
    if not log_format.is_binary:
        check_lines(file)
    items, items_tally = side_files.read_side_file("item", item_file, default_items, options, limit)
    if keep_options.keep_unused_items and items.file_ids is None:  # data-R100
        todo = "name the file with --items"
        raise ConfigError(say("keep_unused_items", "an item file", "none", todo))
    users, users_tally = side_files.read_side_file("user", user_file, default_users, options, limit)
    features.check(options, items, users)
    options = side_files.remaining_columns(options, items, users)
    used_options = items.used_options | users.used_options
    names = options.set_options if log_format.without_effect is None else log_format.without_effect
    reject_options(options, set(names) - used_options, format_name)
    tally = Tally(str(file), limit)
    try:
        source = ReaderInput(file, options, tally, items, users)
        log = assemble_log(log_format.read(source), keep_options)
    except EmptyLogError as error:
        read = quantity_text(tally.lines, "line")
        got = f"none: {read} read, {tally.counts['filtered']} filtered, {tally.bad} damaged"
        todo = "check format, columns and filters"
        raise DataError(say(tally.file, "at least one interaction", got, todo)) from error
    if item_file is not None:
        used_ids = log.item_ids[: log.num_used_items]
        side_files.check_matches(items_tally.file, items, used_ids)
    tallies = (tally, items_tally, users_tally)
    notes = Counter(log.notes) + tally.counts
    notes["lines"], notes["bad_lines"] = tally.lines, sum(x.bad for x in tallies)
    return replace(
        log,
        notes={name: notes[name] for name in NOTES},
        bad_lines=tuple(line for x in tallies for line in x.examples),
        hints=(*tally.hints, *time_hints(log)),
    )
