"""Commands on any bytes as a log: success, or exit code 2 and a line with the reason.

In this process, as a user's shell would call it: nothing of a run that was refused is left.
"""

import contextlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindref.cli import main
from tests.fuzz.damage import several
from tests.fuzz.logs import FORMS, ids, name_of, rows
from tests.fuzz.outcome import COUNTS, check_message, in_time
from tests.fuzz.packed import PACKINGS, lay

SMALL = ["--steps", "2", "--batch", "4", "--negatives", "3", "--width", "4", "--hidden", "4"]
SMALL += ["--quiet", "--window", "3"]
MODELS = ["mind", "mind_plus", "youtube_dnn", "maxmf", "wals", "item_knn", "popularity", "random"]


def call(*words):
    """Run a command in this process; return its exit code and what it printed as text."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in "oe")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with pytest.raises(SystemExit) as end, in_time(120):
            main([str(word) for word in words])
        out.flush(), err.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    if "tsv" in words:  # of machines; what would end a field or a line is escaped
        texts[0] = "".join(char for char in texts[0] if char.isprintable() or char in "\n\t")
    return check(int(str(end.value.code)), *texts)


def check(code, out, err):
    assert code in (0, 2), (code, err[-2000:])
    assert "Traceback" not in err
    strange = [char for char in out + err if not char.isprintable() and char not in "\n\t"]
    assert not strange, (strange, out, err)
    if code == 2:
        message = err[err.index("Error: ") + len("Error: ") :]
        if not message.startswith(("Invalid value", "Got unexpected", "No such option")):
            check_message(message.rstrip("\n"))
    COUNTS["answered" if code == 0 else "refused"] += 1
    return code, out


def hidden(folder):
    """Return what a writer has left in the middle of it."""
    return [str(path) for path in folder.rglob("*") if path.name.endswith(".tmp")]


def go(folder, data, words, users):
    """Train on a log, judge the run and ask it; check what is left."""
    run = folder / "run"
    code, _ = call("train", "--data", data, "--out", run, *SMALL, *words)
    assert not hidden(folder)
    if code == 2:
        left = {path.name for path in run.glob("*")} - {"items.tsv", "config.json"}
        assert not left, left
        return
    assert call("evaluate", run)[0] == 0
    for user in users:
        for form in ("table", "tsv", "jsonl"):
            call("recall", run, f"--user={user}", "--format", form, "--top", "3")
        call("recall", run, f"--history={user}", "--json")
    assert call("recall", run, "--all-users", "--output", folder / "lists")[0] == 0
    assert not hidden(folder)


@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_a_log_with_unusual_text_can_be_trained_and_served(data):
    """Three events or more of some users, in ids of every kind, with every family."""
    form = FORMS["jsonl"]
    users = data.draw(st.lists(ids(form), min_size=1, max_size=4, unique=True))
    items = data.draw(st.lists(ids(form), min_size=1, max_size=5, unique=True))
    written = [
        (user, item, float(data.draw(st.integers(0, 3)))) for user in users for item in items * 2
    ]
    model = data.draw(st.sampled_from(MODELS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "log").write_bytes(form.write(written))
        words = ["--model", model, "--keep-duplicates"]
        words += ["--split", data.draw(st.sampled_from(["leave_last_out", "comirec", "paper"]))]
        go(folder, folder / "log", words, [users[0], "nobody"])


@settings(max_examples=settings.default.max_examples // 3)
@given(data=st.data())
def test_a_damaged_log_is_trained_on_or_refused(data):
    name = data.draw(st.sampled_from(list(FORMS)))
    written = data.draw(rows(FORMS[name]))
    raw = data.draw(several())(FORMS[name].write(written * 3))
    packing = data.draw(st.sampled_from(PACKINGS))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        words = ["--format", name_of(name), "--max-bad-lines", "100", "--keep-duplicates"]
        go(folder, lay(folder, raw, packing), words, [])


def test_every_check_of_an_outcome_can_fail(tmp_path):
    with pytest.raises(AssertionError):
        check(70, "", "Error: x: this is a bug in mindref")
    with pytest.raises(AssertionError):
        check(2, "", "Error: no grammar")
    with pytest.raises(AssertionError):
        check(0, "\x1b[2J", "")
    (tmp_path / ".x.abc.tmp").touch()
    assert hidden(tmp_path)


def test_one_command_of_each_kind(tmp_path):
    """One user, one item, one moment."""
    log = tmp_path / "log"
    log.write_text("u a 1\n" * 5)
    words = ["--format", "delimited", "--user=1", "--item=2", "--time=3", "--keep-duplicates"]
    go(tmp_path, log, words, ["u", "v"])
