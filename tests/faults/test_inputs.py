"""Any bytes as a log, a file of a run or settings: a right result, or an error with its place.

An error is one of mindref, has the form of mindref/errors.py, and can be printed. Time is bounded.
Any other outcome is a bug, whose input becomes a test of the module. --long draws 500 new inputs.
The memory of decompression bombs is measured by tests/data/test_readers_bounds.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindref.cli import main
from mindref.cli.recall import parse_item_ids
from mindref.cli.settings import read_changes
from mindref.config import Config
from mindref.data.assemble import NOTES
from mindref.data.log import InteractionLog, Ragged
from mindref.data.readers import FORMATS, read_log
from mindref.errors import MindrefError
from mindref.models.din_config import DinConfig
from mindref.models.registry import RECALL_FAMILIES
from mindref.presets import PRESETS
from mindref.recall import build_index, open_index
from mindref.recommender.evaluate_run import parse_metric
from mindref.run import items
from mindref.run.array_files import FORMAT, load_arrays, save_arrays
from mindref.run.checkpoint import load_config
from mindref.run.items import Items
from tests.faults.damage import changed_values, damages, values
from tests.faults.logs import FORMS, PACKINGS, REFUSED, expected, ids, lay, name_of, rows
from tests.runs import trainer

LIMIT = 20.0  # seconds of processor time, for inputs that take milliseconds: beyond is a hang
LONGEST = 20_000  # letters of a message
GRAMMAR = re.compile(r".+: expected .+, got .+", re.DOTALL)


class Hang(BaseException):
    """Nothing came of an input; not an Exception, which the code under test may catch."""


@contextmanager
def in_time(seconds: float = LIMIT) -> Iterator[None]:
    """Raise Hang in the block when it has computed for so long: a busy machine is no fault."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"no outcome after {seconds} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def outcome(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return the answer, or the error of ours whose message has been checked; all else raises."""
    try:
        with in_time():
            answer = function(*arguments, **options)
    except MindrefError as error:
        check_message(str(error))
        return error
    return answer


def check_message(text: str) -> None:
    """Raise AssertionError unless a message has the grammar of mindref.errors and can be shown."""
    assert GRAMMAR.match(text), f"no grammar: {text[:500]!r}"
    assert len(text) <= LONGEST, f"{len(text)} letters: {text[:200]!r} ..."
    strange = [char for char in text if not char.isprintable() and char != "\n"]
    assert not strange, f"control characters {strange[:5]!r} in {text[:500]!r}"


# readers


def check_log(log: InteractionLog) -> None:
    """Check that ids are text, that times rise in each row, and that the counts fit the log."""
    users, items, notes = len(log.user_ids), len(log.item_ids), log.notes
    check_rows(log.interactions, users, items)
    assert users >= 1
    lengths, events = log.interactions.lengths, len(log.interactions.values)
    assert (lengths >= 1).all(), "a user without an event"
    assert set(np.unique(log.interactions.values)) == set(range(items)), "an item without an event"
    for names in (log.user_ids, log.item_ids):
        assert all(isinstance(one, str) and one for one in names)
        assert len(set(names)) == len(names)
    if log.times is not None:
        assert log.times.dtype == np.float64
        assert log.times.shape == log.interactions.values.shape
        assert np.isfinite(log.times).all()
        rising = log.times[1:] >= log.times[:-1]
        rising[log.interactions.offsets[1:-1] - 1] = True  # between two users
        assert rising.all(), "events out of order"
    assert log.titles is None or len(log.titles) == items
    for features, count in ((log.item_features, items), (log.user_features, users)):
        for feature in features:
            check_rows(feature.codes, count, len(feature.values))
            assert all(feature.values)
            assert len(set(feature.values)) == len(feature.values)
    assert tuple(notes) == NOTES
    assert all(isinstance(count, int) and count >= 0 for count in notes.values())
    assert (notes["users"], notes["items"], notes["interactions"]) == (users, items, events)
    assert notes["single_interaction_users"] == int((lengths == 1).sum())
    assert notes["ties"] < events
    assert notes["titled_items"] == sum(map(bool, log.titles or ()))
    assert len(log.bad_lines) <= notes["bad_lines"]
    assert bool(log.bad_lines) == bool(notes["bad_lines"])
    assert all(line.isprintable() for line in log.bad_lines), log.bad_lines


def check_rows(ragged: Ragged, rows: int, values: int) -> None:
    """Check that there are so many rows of numbers from 0 to below `values`."""
    assert ragged.offsets.dtype == ragged.values.dtype == np.int64
    assert len(ragged) == rows
    assert ragged.offsets[0] == 0
    assert (ragged.lengths >= 0).all()
    assert ragged.offsets[-1] == len(ragged.values)
    assert ((ragged.values >= 0) & (ragged.values < values)).all()


EACH_PACKING = st.sampled_from([*PACKINGS, *REFUSED])
EACH_FORM = pytest.mark.parametrize("form", list(FORMS))


def read_bytes_as_log(data, packing, damage_packed=lambda packed: packed, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = lay(Path(folder), data, packing)
        if path.is_file():
            path.write_bytes(damage_packed(path.read_bytes()))
        log = outcome(read_log, path, **options)
    if isinstance(log, InteractionLog):
        check_log(log)
    return log


@EACH_FORM
@given(data=st.data())
def test_a_written_log_is_read_back(form, data):
    """Every id, order, tie and duplicate, for whatever ids a form can hold."""
    written = data.draw(rows(FORMS[form]))
    raw, packing = FORMS[form].write(written), data.draw(st.sampled_from(PACKINGS))
    with in_time():
        log = read_bytes_as_log(raw, packing, format=name_of(form))
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
FEATURES = st.dictionaries(st.sampled_from("fg"), COLUMN, max_size=2)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("user", "item", "time", "title"), COLUMN),
        **dict.fromkeys(("item_features", "user_features"), FEATURES),
        "keep": st.dictionaries(st.sampled_from(["1", "3", "user"]), st.just(["a", "b"])),
        "at_least": st.dictionaries(st.sampled_from(["1", "3", "time"]), st.floats()),
        "time_format": st.sampled_from(FORM_OF_TIME),
        "delimiter": st.sampled_from([",", "\t", "::", "|", "\\", "]", "^", " ", "\0", "é", "-"]),
        "separator": st.sampled_from(["|", "\n", "a", "\0"]),
        "header": st.sampled_from([None, True, False]),
    },
)


@EACH_FORM
@given(data=st.data())
def test_a_damaged_log_is_read_or_refused(form, data):
    """Damage is in the text, or in the packed bytes, or all bytes are random."""
    raw, packing = FORMS[form].write(data.draw(rows(FORMS[form]))), data.draw(EACH_PACKING)
    damage, kind = data.draw(damages()), data.draw(st.sampled_from(["text", "packed", "random"]))
    raw = damage(raw) if kind == "text" else raw
    raw = data.draw(st.binary(max_size=300)) if kind == "random" else raw
    options = {"format": data.draw(st.sampled_from([name_of(form), "auto"]))}
    if data.draw(st.booleans()):
        options["format"] = data.draw(st.sampled_from([*FORMATS, "auto"]))
        options["columns"] = data.draw(OPTIONS)
    options["max_bad_lines"] = data.draw(st.sampled_from(["auto", 0, 3, 1000]))
    options["keep_duplicates"] = data.draw(st.booleans())
    options["min_user_interactions"] = data.draw(st.sampled_from([1, 1, 2, 5]))
    options["min_item_interactions"] = data.draw(st.sampled_from([1, 1, 2]))
    if kind == "packed":
        options["damage_packed"] = damage
    read_bytes_as_log(raw, packing, **options)


# files of runs

VECTORS = np.arange(12, dtype=np.float32).reshape(6, 2)


# kind -> name of a file of a run, its writer and its reader
FILES = {
    "configuration": ("config.json", trainer, load_config),
    "catalogue": (
        "items.tsv",
        lambda run: items.write_items(run / "items.tsv", ["a", "b\t"], [1, 2], ["A\n", ""]),
        lambda run: items.read_items(run / "items.tsv"),
    ),
    "arrays": (
        "model.safetensors",
        lambda run: save_arrays(run / "model.safetensors", {"a": VECTORS}, {"format": FORMAT}),
        lambda run: load_arrays(run / "model.safetensors"),
    ),
    "manifest": (
        "manifest.json",
        lambda run: build_index(VECTORS, VECTORS, directory=run, kind="exact"),
        lambda run: open_index(run, VECTORS),
    ),
}
EACH_FILE = pytest.mark.parametrize("kind", list(FILES))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of each file as mindref writes it."""
    raw = {}
    for kind, (name, write, _) in FILES.items():
        run = tmp_path_factory.mktemp("run")
        write(run)
        raw[kind] = (run / name).read_bytes()
    return raw


def read_file(kind, data):
    name, _, reader = FILES[kind]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        return outcome(reader, Path(folder))


@EACH_FILE
@given(damage=damages())
def test_a_damaged_file_is_read_or_refused(kind, files, damage):
    assert not isinstance(read_file(kind, files[kind]), Exception), "without damage"
    content = read_file(kind, damage(files[kind]))
    if isinstance(content, Items):
        assert len(content.ids) == len(content.counts) == len(content.titles)


@pytest.mark.parametrize("kind", ["configuration", "manifest"])
@given(data=st.data())
def test_files_with_changed_values_are_read_or_refused(kind, files, data):
    changed = data.draw(changed_values(json.loads(files[kind])))
    try:
        raw = json.dumps(changed).encode()
    except ValueError:  # a number that is too long for Python to write
        return
    content = read_file(kind, raw)
    if kind == "configuration" and isinstance(content, tuple):
        assert isinstance(content[0], Config)


# settings

NAMES = [field.name for field in dataclasses.fields(Config)]


def check_config(config):
    """Check what is no error: in range, and the same when it is written and read again."""
    if isinstance(config, Config):
        again = json.loads(json.dumps(config.family_settings(), allow_nan=False))
        assert Config.restored(again).family_settings() == config.family_settings()
        for field in dataclasses.fields(Config):
            value = getattr(config, field.name)
            assert type(value) is type(field.default)
            if "low" in field.metadata:
                assert field.metadata["low"] <= value <= field.metadata["high"]


@given(st.dictionaries(st.sampled_from([*NAMES, "colour", ""]), values(), max_size=3))
def test_any_changes_of_settings_are_valid_or_refused(changes):
    check_config(outcome(Config.of, "mind", changes))
    outcome(DinConfig.of, changes)


@given(st.data(), st.sampled_from(list(PRESETS)))
def test_settings_of_a_damaged_file_are_restored_or_refused(data, preset):
    original = Config.of(preset).family_settings()
    value_read = data.draw(changed_values(original))
    if isinstance(value_read, dict):  # others are refused by whoever reads the file
        check_config(outcome(Config.restored, value_read))


TOML = """
preset = "recommended"
width = 16
hidden = [32, 8]
power = inf
learning_rate = 1e-3  # a comment
metric = "ndcg@20"
backend = 'numpy'
last_relu = true
"""


def config_from_file(path):
    """Return the settings of a file, as a command without options reads them."""
    preset, changes = read_changes(None, path, {})
    return Config.of(preset or "mind", changes)


@given(damages(), st.sampled_from([TOML, "", "width = 0x1f\n" * 2, "hidden = '8'\n[a]\nb = 1\n"]))
def test_a_damaged_file_of_settings_is_read_or_refused(damage, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.toml"
        path.write_bytes(damage(text.encode()))
        check_config(outcome(config_from_file, path))


@given(
    st.one_of(st.text(max_size=20), st.from_regex(r"(hit_rate|recall|mrr)@\d{1,5000}")),
    st.one_of(st.text(max_size=20), st.sampled_from([",", '"', "a" * 200_000, "a," * 9000])),
)
def test_any_text_is_a_metric_or_a_history_or_refused(name, text):
    metric, history = outcome(parse_metric, name), outcome(parse_item_ids, "--history", text)
    if isinstance(metric, tuple):
        assert metric[1] == int(name.partition("@")[2])
    if isinstance(history, list):
        assert all(history)


# commands

TINY = ["--steps", "2", "--batch", "4", "--negatives", "3", "--width", "4", "--hidden", "4"]
TINY += ["--quiet", "--window", "3"]


def call_command(*words):
    """Run a command in this process, check its outcome, and return whether it succeeded."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in "oe")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with pytest.raises(SystemExit) as end, in_time(120):
            main([str(word) for word in words])
        out.flush(), err.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    if "tsv" in words:  # of machines; what would end a field or a line is escaped
        texts[0] = "".join(char for char in texts[0] if char.isprintable() or char in "\n\t")
    assert end.value.code in (0, 2), texts[1][-2000:]
    assert "Traceback" not in texts[1]
    strange = [char for text in texts for char in text if not char.isprintable()]
    assert set(strange) <= set("\n\t"), (strange, texts)
    if end.value.code == 2:
        message = texts[1][texts[1].index("Error: ") + len("Error: ") :]
        if not message.startswith(("Invalid value", "Got unexpected", "No such option")):
            check_message(message.rstrip("\n"))
    return end.value.code == 0


def temporary_files(folder):
    """Return the files that a killed writer would leave."""
    return [str(path) for path in folder.rglob("*.tmp")]


@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_a_log_with_unusual_text_can_be_trained_and_served(data):
    """Users have three interactions or more, and ids of every kind; each family is trained."""
    form = FORMS["jsonl"]
    users = data.draw(st.lists(ids(form), min_size=1, max_size=4, unique=True))
    items = data.draw(st.lists(ids(form), min_size=1, max_size=5, unique=True))
    written = [
        (user, item, float(data.draw(st.integers(0, 3)))) for user in users for item in items * 2
    ]
    words = ["--model", data.draw(st.sampled_from(RECALL_FAMILIES)), "--keep-duplicates", *TINY]
    words += ["--split", data.draw(st.sampled_from(["leave_last_out", "comirec", "paper"]))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, log = folder / "run", folder / "log"
        log.write_bytes(form.write(written))
        is_trained = call_command("train", "--data", log, "--out", run, *words)
        assert not temporary_files(folder)
        if not is_trained:
            assert {path.name for path in run.glob("*")} <= {"items.tsv", "config.json"}
            return
        assert call_command("evaluate", run)
        for user in (users[0], "nobody"):
            for layout in ("table", "tsv", "jsonl"):
                call_command("recall", run, f"--user={user}", "--format", layout, "--top", "3")
            call_command("recall", run, f"--history={user}", "--json")
        assert call_command("recall", run, "--all-users", "--output", folder / "lists")
        assert not temporary_files(folder)
