"""Readers on any bytes: a written log is read back, other bytes are read or refused."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import InteractionLog
from mindref.data.readers import FORMATS, read_log
from tests.fuzz.damage import several
from tests.fuzz.invariants import check_log
from tests.fuzz.logs import FORMS, expected, name_of, rows
from tests.fuzz.outcome import in_time, outcome
from tests.fuzz.packed import PACKINGS, REFUSED, lay

CASES = [pytest.param(form, id=form) for form in FORMS]


def read(data, packing, **options):
    with tempfile.TemporaryDirectory() as folder:
        log = outcome(read_log, lay(Path(folder), data, packing), **options)
    if isinstance(log, InteractionLog):
        check_log(log)
    return log


@pytest.mark.parametrize("form", CASES)
@given(data=st.data())
def test_a_written_log_is_read_back(form, data):
    """Every id, order, tie and duplicate, for whatever ids a form can hold."""
    written = data.draw(rows(FORMS[form]))
    raw, packing = FORMS[form].write(written), data.draw(st.sampled_from(PACKINGS))
    with in_time():
        log = read(raw, packing, format=name_of(form))
    assert isinstance(log, InteractionLog), log
    histories = expected(written, FORMS[form].timed)
    assert list(log.user_ids) == list(histories)
    assert sorted(log.item_ids) == sorted({item for _, item, _ in written})
    for u, user in enumerate(log.user_ids):
        assert [log.item_ids[i] for i in log.interactions.row(u)] == [i for i, _ in histories[user]]
        if FORMS[form].timed:
            assert log.times is not None
            start, stop = log.interactions.offsets[u : u + 2]
            assert log.times[start:stop].tolist() == [t for _, t in histories[user]]
    assert log.notes["bad_lines"] == 0


COLUMN = st.sampled_from([None, 1, 2, 3, 0, -1, 99, "user", "item", "1", "9" * 5000, "\x1b", "²"])
FORM_OF_TIME = ["auto", "seconds", "ms", "iso", "day-first", "%Y", "%d %d", "%", "%Q", "%s\0"]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "user": COLUMN,
        "item": COLUMN,
        "time": COLUMN,
        "title": COLUMN,
        "item_features": st.dictionaries(st.sampled_from("fg"), COLUMN, max_size=2),
        "user_features": st.dictionaries(st.sampled_from("fg"), COLUMN, max_size=2),
        "keep": st.dictionaries(st.sampled_from(["1", "3", "user"]), st.just(["a", "b"])),
        "at_least": st.dictionaries(st.sampled_from(["1", "3", "time"]), st.floats()),
        "time_format": st.sampled_from(FORM_OF_TIME),
        "delimiter": st.sampled_from([",", "\t", "::", "|", "\\", "]", "^", " ", "\0", "é", "-"]),
        "separator": st.sampled_from(["|", "\n", "a", "\0"]),
        "header": st.sampled_from([None, True, False]),
    },
)


@pytest.mark.parametrize("form", CASES)
@given(data=st.data())
def test_a_damaged_log_is_read_or_refused(form, data):
    raw = data.draw(several())(FORMS[form].write(data.draw(rows(FORMS[form]))))
    options = {"format": data.draw(st.sampled_from([name_of(form), "auto"]))}
    if data.draw(st.booleans()):
        options["format"] = data.draw(st.sampled_from([*FORMATS, "auto"]))
        options["columns"] = data.draw(OPTIONS)
    options["max_bad_lines"] = data.draw(st.sampled_from(["auto", 0, 3, 1000]))
    options["keep_duplicates"] = data.draw(st.booleans())
    options["min_user_interactions"] = data.draw(st.sampled_from([1, 1, 2, 5]))
    options["min_item_interactions"] = data.draw(st.sampled_from([1, 1, 2]))
    read(raw, data.draw(st.sampled_from(PACKINGS)), **options)


@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused(data):
    form = data.draw(st.sampled_from(["delimited", "jsonl", "pairs"]))
    raw = FORMS[form].write(data.draw(rows(FORMS[form])))
    packings = [*(one for one in PACKINGS if one != "folder"), *REFUSED]
    with tempfile.TemporaryDirectory() as folder:
        path = lay(Path(folder), raw, data.draw(st.sampled_from(packings)))
        path.write_bytes(data.draw(several())(path.read_bytes()))
        log = outcome(read_log, path, max_bad_lines=1000)
    if isinstance(log, InteractionLog):
        check_log(log)


@given(raw=st.binary(max_size=300), form=st.sampled_from([*FORMATS, "auto"]))
def test_random_bytes_are_read_or_refused(raw, form):
    read(raw, "plain", format=form, max_bad_lines=1000)
