"""Wrong options and wrong input of all commands: exit code 2, what to do, and no file."""

import shlex

import pytest

from tests.assertions import nonempty
from tests.conformance.small import SMALL
from tests.runs import options

TRAIN = "train --data SHOP --out run"
UNREAD = "train --data some.log --out run"
DIN = "train --out run --model din --recall RUN"
DIN_SETTING = "din: expected a setting of din, got"
COMPARE = shlex.join(["compare", "SHOP", "--models=mind,mind-1", "--out=out", *options()])
TUNE = "tune no_such_file --out out"
ABLATE = "ablate --out out"
CONFORM = "conform --backend numpy"
BENCH = "bench --backends numpy"
SELECTION = "expected one of --user, --history, --all-users"
NO_STEPS = "split none: expected a number of steps, got no number; give --steps N"
NO_ID = "at least one item id of the catalogue, got 2 other ids: 'x', 'y'"

USAGE = [
    ("tarin", "No such command 'tarin'"),
    ("train --colour red", "No such option"),
    ("train --steps many", "Invalid value for '--steps'"),
    ("train --routing static", "Invalid value for '--routing'"),
    ("train --split mine", "Invalid value for '--split'"),
    ("train --threads 0", "0 is not in the range"),
    ("recall", "Missing argument 'RUN'."),
    ("recall RUN --user a --top 100001", "100001 is not in the range"),
    ("recall RUN another --all-users", "Got unexpected extra argument (another)"),
    ("similar RUN article-0001 --top 0", "0 is not in the range"),
    ("similar RUN", "Missing argument 'ITEM'"),
    (f"{COMPARE} --seeds 0", "0 is not in the range"),
    (f"{COMPARE} --split none", "'none' is not one of 'leave_last_out'"),
    (f"{ABLATE} --split none", "'none' is not one of 'leave_last_out'"),
    (f"{TUNE} --widht 3", "No such option"),
    (f"{TUNE} --trials 0", "0 is not in the range"),
    ("backends extra", "unexpected extra argument"),
    ("conform", "Missing option '--backend'"),
    (f"{CONFORM} --seed -1", "-1 is not in the range"),
    (f"{CONFORM} --seed x", "Invalid value for '--seed'"),
    (f"{CONFORM} --profile quick", "Invalid value for '--profile'"),
    (f"{CONFORM} --output .", "Invalid value for '--output'"),
    *((f"{CONFORM} --processes {n}", "Invalid value for '--processes'") for n in (0, 65, "two")),
    (f"{BENCH} --rounds 0", "0 is not in the range"),
    (f"{BENCH} --batch x", "Invalid value for '--batch'"),
    (f"{BENCH} --catalogue 199", "199 is not in the range"),
]
"""Command, and a part of the message of click, which names --help."""

ERRORS = [
    (f"{TRAIN} --steps 0", "steps: expected 1 to 1000000000, got 0"),
    (f"{TRAIN} --hidden 8,x", "hidden: expected a list, or values separated by commas"),
    (f"{TRAIN} --interests 65", "interests: expected 1 to 64, got 65"),
    (f"{TRAIN} --sampler in_batch --batch 1", "batch: expected at least 2 examples for the"),
    (f"{TRAIN} --backend json:loads", "backend json:loads: expected the whole contract, got no"),
    (f"{TRAIN} --item-features colour", "item_features: expected features of the data (shelf)"),
    (f"{TRAIN} --config nowhere.toml", "--config nowhere.toml: expected a TOML file"),
    ("train --data nowhere.csv", "nowhere.csv: expected a file or a folder, got nothing there;"),
    (f"{TRAIN} --keep x", "--keep: expected NAME=VALUE, got 'x'"),
    ("train --format movielens", "--data: expected a log for the reading options, got none, but"),
    ("train --resume here", "expected a run directory, got no config.json in it"),
    (f"{TRAIN} --dry-run --out RUN", "expected no run there, got one"),
    (f"{TRAIN} --dry-run --out SHOP/run", "--out: expected a writable location"),
    (f"{TRAIN} --dry-run --metric best", "metric: expected"),
    ("train --dry-run --data none", "none: expected a file or a folder"),
    (f"{TRAIN} --model din", "--recall: expected a run whose candidates DIN reranks, got none"),
    (f"{TRAIN} --recall RUN", "--recall: expected --model din with it, got none"),
    (f"{TRAIN} --recall RUN --model maxmf", "expected --model din with it, got maxmf"),
    (f"{TRAIN} --attention-hidden 4", "--attention-hidden: expected --model din with it"),
    (f"{TRAIN} --no-product", "--product: expected --model din with it, got none"),
    ("train --model din --recall nowhere", "nowhere: expected a run directory, got no"),
    ("train --model din --recall STAGE", "expected a recall run, got a DIN run"),
    (f"{DIN} --candidates 0", "candidates: expected 1 to 1000000"),
    (f"{DIN} --init-items recall", "items: expected shape"),
    (f"{DIN} --out STAGE", "no run there, got one; choose"),
    (f"{DIN} --steps 1 --recalled-negatives 130", "candidates and the catalogue, 111, got 130"),
    (f"{DIN} --candidates 9 --recalled-negatives 10 --steps 1", "the catalogue, 9, got 10"),
    ("recall RUN --user nobody", "--user: expected one of the 60 users of the log, got 'nobody'"),
    ("recall RUN --user a --data nowhere", "nowhere: expected a file or a folder"),
    ("recall RUN --history what,else", "id or the title of a trained item, got 'what', 'else'"),
    ("recall RUN --user customer-0001 --rerank STAGE --top 21", "--top: expected at"),
    ("recall RUN --user customer-0001 --rerank RUN", "a DIN run, got a recall run"),
    ("recall RUN --all-users --rerank nowhere", "nowhere: expected a DIN run, got no"),
    ("similar RUN nothing", "the id or the title of a trained item, got 'nothing'"),
    ("evaluate RUN --data nowhere", "nowhere: expected a file or a folder, got nothing there"),
    ("evaluate RUN --format recbole", "data: expected a log for the reading options, got none"),
    *(
        (f"{x} {path}", path)
        for path in ("loop", "x" * 300)
        for x in ("train --data", "train --resume", "evaluate", "recall --all-users")
    ),
]
"""Command, and a part of the message, for errors that may be found after the log is read."""

EARLY_ERRORS = [
    (f"{UNREAD} --metric auc@5", "metric: expected hit_rate@N or"),
    (f"{UNREAD} --backend abacus", "backend: expected one of "),
    (f"{UNREAD} --out /dev/null/run", "--out: expected a writable location, got /dev/null"),
    (f"{UNREAD} --out RUN", "expected no run there, got one; choose another --out"),
    (f"{UNREAD} --model wals --item-features shelf", "model wals: item_features: expected"),
    (
        f"{UNREAD} --model youtube_dnn --backend mindref.conformance.mutants.trained:no_log_q",
        "the model mind or mind_plus, got",
    ),
    ("train --resume RUN --dry-run", "--dry-run: expected a new training, got --resume"),
    ("train --resume RUN --split paper", "--resume: expected no other settings, got --split; a"),
    ("train --resume RUN --include-seen", "no other settings, got --exclude-seen; a run keeps"),
    ("train --resume RUN --out x --hidden 8", "no other settings, got --out, --hidden; a run"),
    ("train --resume RUN --keep-duplicates", "no other settings, got --keep-duplicates; a"),
    (f"{DIN} --dry-run", "--dry-run: expected a new training, got --model"),
    (f"{DIN} --split paper", "settings of DIN, got --split; log"),
    (f"{DIN} --include-seen", "settings of DIN, got --exclude-seen"),
    (f"{DIN} --preset paper", "settings of DIN, got --preset"),
    (f"{DIN} --start-from RUN", "settings of DIN, got --start-from"),
    (f"{DIN} --format recbole", "settings of DIN, got --format"),
    (f"{DIN} --interests 4 --steps 1", f"{DIN_SETTING} interests"),
    (f"{DIN} --sampler uniform --steps 1", f"{DIN_SETTING} sampler"),
    (f"{DIN} --normalise --steps 1", f"{DIN_SETTING} normalise"),
    (f"{UNREAD} --split none", NO_STEPS),
    (f"{UNREAD} --split none --preset recommended", NO_STEPS),
    (f"{UNREAD} --split none --model mind", NO_STEPS),
    ("train --start-from RUN --split none", NO_STEPS),
    (f"{UNREAD} --split none --preset mind --steps 9 --patience 3", "patience: expected 0 with"),
    (f"{UNREAD} --split none --model popularity --patience 1", "patience: expected 0 with"),
    ("train --steps-of RUN", "--steps-of: expected --split none with it, got no --split"),
    ("train --steps-of RUN --split paper", "expected --split none with it, got --split paper"),
    ("train --steps-of RUN --split none --preset mind", "expected no --preset with it, got mind"),
    ("train --start-from RUN --width 16", "settings of that run, width 8, got width 16; leave"),
    (
        "train --start-from RUN --preset recommended",
        "--start-from: expected no --preset with it, got",
    ),
    ("train --start-from nowhere", "expected a run directory, got no config.json in it"),
    ("recall RUN --user a --index fast", "--index: expected auto or exact or annoy"),
    *(
        (f"recall RUN --history {shlex.quote(text)}", "--history: expected items as one row of CSV")
        for text in ("a\nb", '"a', '"a"b')
    ),
    *(
        (f"recall RUN {x}", SELECTION)
        for x in ("", "--user a --all-users", "--user a --history ''")
    ),
    ("recall RUN --all-users --json --format tsv", "--json: expected no --format with it, got tsv"),
    ("recall RUN --all-users --output /dev/null/x", "--output: expected a writable location"),
    ("recall RUN --all-users --output no/x", "--output: expected a file in an existing folder"),
    ("recall RUN --all-users --only ids", f"{NO_ID}; write"),
    ("recall RUN --user customer-0001 --only pairs", NO_ID),
    ("recall RUN --all-users --only taken", "and an item id in every line, got an empty file"),
    ("recall RUN --all-users --only triples", ", line 1: expected one item id a line, or"),
    ("recall RUN --all-users --only missing", "expected a UTF-8 file with one item id a line"),
    ("recall RUN --history article-0007 --exclude pairs", "for histories, got lists by user; a"),
    ("similar RUN article-0001 --only missing", "--only missing: expected a UTF-8 file with one"),
    ("similar RUN article-0001 --only ids", f"{NO_ID}; write"),
    ("evaluate RUN --at 0", "--at: expected integers from 1 to 100000, comma separated, got '0'"),
    *((f"evaluate RUN --at={x}", "--at: expected integers") for x in ("ten", "", "10,100001")),
    ("evaluate RUN --predictions /dev/null/x", "--predictions: expected a writable location"),
    ("evaluate RUN --predictions no/x", "--predictions: expected a file in an existing folder"),
    ("evaluate none", "expected a run directory, got no config.json in it; name the folder"),
    ("evaluate STAGE --at 5", "a DIN run: expected only --json, got --at"),
    ("export RUN --to vectors --users 5", "--json, --all-users, got --users"),
    ("export RUN --to onnx --all-users", "only --output, --data, --json, --users, got --all-users"),
    ("export RUN --to vectors --output here", "expected a new or empty folder, got one in use"),
    *(
        (f"{x} no_such_file", "--out: expected a folder for the runs, got none")
        for x in ("compare", "ablate", "tune")
    ),
    ("compare --models mind --out out --user u", "DATA: expected a log"),
    (f"{COMPARE} --models ,", "--models: expected at least one, got none"),
    (f"{COMPARE} --models mind,nobody", "--models: expected some of mind, mind_plus, youtube_"),
    (f"{COMPARE} --models mind,nobody", "recommended, recommended-1, got 'nobody'"),
    (f"{COMPARE} --opponent nobody", "--opponent: expected mind or mind-1, got nobody"),
    (
        f"{COMPARE} --preset recommended --models recommended,mind",
        "model mind: recency: expected none, or",
    ),
    (f"{COMPARE} --metric luck@3", "metric: expected hit_rate@N"),
    (f"{ABLATE} --studies sigmoid", "--studies: expected all, or some of sigma, power"),
    (f"{ABLATE} --studies=", "expected all, or names of studies, got none; --list"),
    (f"{ABLATE} --model wals --studies init_scale", "study init_scale, arm 0.1: init_scale: expec"),
    (f"{TUNE} --preset mind --contexts 2", "contexts: expected 0"),
    (f"{TUNE} --model random", "a setting that can be tuned, got none for random"),
    ("conform --backend nobody", "or module:object, got 'nobody'"),
    ("conform --backend no_such_module:X", "ModuleNotFoundError: No module named"),
    (f"conform --backend {SMALL}:WrongType", "expected Capabilities, got a dict"),
    (f"{CONFORM} flush", "expected a page, a rule or a check"),
    (f"{CONFORM} --expectations no.toml", "a TOML file"),
    (f"{CONFORM} --diff no.json", "got No such file or directory"),
    (f"{CONFORM} --diff ids", "got text that is not JSON"),
    (f"{CONFORM} --diff taken", "got an empty file; name a file that"),
    (f"{CONFORM} --diff other.json", "got JSON of another kind"),
    (f"{CONFORM} --output no/x.json", "create the folder"),
    (f"{CONFORM} --scripts taken/x", "--scripts: expected a writable"),
    (f"{CONFORM} --markdown taken/x", "--markdown: expected a writable"),
    ("study --all", "--all: expected --at STEP with it"),
    ("study --data log.csv --at 1", "--data: expected the RUN of the log"),
    ("study --exercise squash --at 1", "--exercise: expected no options about a user, got --at"),
    ("study --user wrong --exercises", "--exercises: expected no options about a user, got --user"),
    *((f"study --{x} no/x.json", f"--{x}: expected a file in") for x in ("html", "json")),
    ("study --case-study no/x.json", "--case-study: expected a file in an existing folder"),
    ("bench --backends nobody", "--backends: expected one of "),
    (f"{BENCH} --backends ,", "--backends: expected at least one"),
    (f"{BENCH} --tasks step,steps", "--tasks: expected some of step, inference"),
    (f"{BENCH} --tasks ''", "--tasks: expected at least one"),
    pytest.param(
        "bench --model youtube_dnn --backends torch",
        "--backends torch: --model: expected a model that this backend computes, got youtube",
        marks=pytest.mark.needs("mindref_torch"),
    ),
    (f"{BENCH} --device cuda --backends numpy", "--backends numpy: device: expected cpu or auto"),
    *(
        (f"{x} /dev/zero", "/dev/zero: expected a file, got a device")
        for x in (
            "train --dry-run --config",
            "recall RUN --all-users --only",
            "recall RUN --all-users --exclude",
            f"{CONFORM} --expectations",
            f"{CONFORM} --diff",
        )
    ),
]
"""Command, and a part of the message, for errors that are found before the log is read."""


@pytest.fixture
def outcome(cli, trained_run, din_run, shop, tmp_path, monkeypatch):
    """Return a function: the message of a command, which must create no file."""
    files = {
        "taken": "", "ids": "x\ny\n", "pairs": "u\tx\nv\ty\n", "triples": "a\tb\tc\n",
        "other.json": "[1]", "here/mine": "kept",
    }  # fmt: skip
    (tmp_path / "here").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    places = {"RUN": trained_run, "STAGE": din_run, "SHOP": shop, "SHOP/run": shop / "run"}

    def call(command, run):
        before = sorted(tmp_path.rglob("*"))
        message = run(*[places.get(word, word) for word in shlex.split(command)])
        assert sorted(tmp_path.rglob("*")) == before
        return message

    return call


@pytest.mark.parametrize(("command", "message"), nonempty(USAGE))
def test_wrong_usage_names_help(cli, outcome, command, message):
    error = outcome(command, cli.error)
    assert message in error
    assert "--help' for help" in error.replace('"', "'")


@pytest.mark.rules("din-R22", "din-R24", "faults-R21")
@pytest.mark.parametrize(("command", "message"), nonempty(ERRORS))
def test_wrong_input_is_one_line(cli, outcome, command, message):
    assert message in outcome(command, cli.error_line)


@pytest.mark.rules(
    "model-R39", "model-R47", "model-R51", "model-R53", "model-R55", "recall-R37", "recall-R48",
    "faults-R18", "faults-R22",
)  # fmt: skip
@pytest.mark.parametrize(("command", "message"), nonempty(EARLY_ERRORS))
def test_wrong_input_is_one_line_before_the_log_is_read(cli, outcome, unread_log, command, message):
    assert message in outcome(command, cli.error_line)
