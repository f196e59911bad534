"""mindref recall: selection of users, output formats, output files."""

import json
import shlex

import pytest

import mindref
from mindref.cli.recall import parse_item_ids
from tests.recall.annoy_trees import needs_annoy
from tests.runs import messages

SELECTION = "expected one of --user, --history, --all-users"
NOT_CSV = "--history: expected item ids as one row of CSV"


def history(run, count=9):
    return ",".join(mindref.load(run).served.items.ids[:count])


def test_a_printed_list_is_grouped_by_interest(cli, run):
    result = cli("recall", run, "--history", history(run), "--top", 6)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "this history: 9 behaviours, 3 interests"
    assert lines[1].startswith("  most recent: ")
    expected = mindref.load(run).recommend(history(run).split(","), 6)
    for rank, x in enumerate(expected, 1):
        row = next(i for i, line in enumerate(lines) if line.startswith(f"  {rank:>4}  "))
        assert lines[row].endswith(f"  {x.item}  {x.title}"), "an id can be passed to --history"
        above = [line for line in lines[:row] if line.startswith("interest ")]
        assert above[-1] == f"interest {x.interest}"
    assert cli("recall", run, "--user", "customer-0004").out.startswith("user customer-0004: ")
    empty = cli("recall", run, "--history", "").out
    assert empty.startswith("this history: 0 behaviours, 1 interests\ninterest 0\n")


def test_json_is_one_value_jsonl_one_per_line_and_all_users_are_tsv_by_default(cli, run):
    document = cli.json("recall", run, "--all-users", "--top", 3)
    lines = cli("recall", run, "--all-users", "--format", "jsonl", "--top", 3).out.splitlines()
    assert [json.loads(line) for line in lines] == document
    assert len(document) == 60
    first = document[0]
    assert first["user"] == "customer-0001"
    assert [x["rank"] for x in first["items"]] == [1, 2, 3]
    assert sorted(first["items"][0]) == ["interest", "item", "rank", "score", "title"]
    lines = cli("recall", run, "--all-users", "--top", 3).out.splitlines()
    assert lines[0] == "user\trank\titem\tscore\tinterest\ttitle"
    assert len(lines) == 1 + 60 * 3
    assert {len(line.split("\t")) for line in lines} == {6}


@pytest.mark.parametrize("form", ["table", "tsv", "jsonl"])
def test_a_file_has_the_same_content_as_stdout(cli, run, tmp_path, form):
    arguments = ["recall", run, "--history", history(run), "--format", form]
    printed = cli(*arguments)
    result = cli(*arguments, "--output", tmp_path / "lists")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (tmp_path / "lists").read_text(encoding="utf-8") == printed.out


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a,b", ["a", "b"]),
        ("", []),
        (",a,", ["a"]),
        (" a, b", [" a", " b"]),
        ('"a,b","say ""c"""', ["a,b", 'say "c"']),
        ('"two\nlines",é', ["two\nlines", "é"]),
    ],
)
def test_a_history_is_a_csv_row(text, ids):
    assert parse_item_ids("--history", text) == ids


@needs_annoy
def test_approximate_lists_are_marked(cli, run):
    result = cli("recall", run, "--history", history(run), "--json", "--index", "annoy")
    (answer,) = json.loads(result.out)
    assert answer["index"]["kind"] == "annoy"
    assert 0.95 <= answer["index"]["recall"] <= 1
    lines = messages(result.err).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("approximate search by annoy: it finds ")
    result = cli("recall", run, "--history", history(run), "--json", "--index", "exact")
    assert json.loads(result.out)[0]["index"] == {"kind": "exact", "recall": 1.0}
    assert result.err == ""


def test_unknown_items_of_a_history_are_skipped_with_a_warning(cli, run):
    names = cli("recall", run, "--history", history(run), "--format", "tsv")
    for form in ("table", "tsv", "jsonl"):
        mixed = cli("recall", run, "--history", f"what,{history(run)},", "--format", form)
        assert mixed.err.startswith("1 of ")
        assert mixed.err.endswith("items are not in the catalogue or untrained: 'what'\n")
        assert form != "tsv" or mixed.out == names.out
    table = cli("recall", run, "--history", f"what,{history(run)}")
    assert "  not in the catalogue or untrained: what\n" in table.out
    assert "--history: expected an item of the catalogue, got what, else" in cli.error(
        "recall", run, "--history", "what,else"
    )


def test_seen_items_are_listed_on_request(cli, run):
    arguments = ["recall", run, "--history", history(run), "--top", 500, "--format", "jsonl"]
    visited = set(history(run).split(","))
    for option, present in (("--exclude-seen", False), ("--include-seen", True)):
        found = {x["item"] for x in json.loads(cli(*arguments, option).out)["items"]}
        assert bool(found & visited) == present


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--user nobody", "--user: expected one of the 60 users of the log, got nobody"),
        ("--user a --data nowhere", "nowhere: expected a file or a folder"),
        ("--user a --top 100001", "100001 is not in the range"),
        ("--user a --index fast", "--index: expected auto or exact or annoy"),
        *((f"--history {shlex.quote(text)}", NOT_CSV) for text in ("a\nb", '"a', '"a"b')),
        *((words, SELECTION) for words in ("", "--user a --all-users", "--user a --history ''")),
        ("--all-users --shard 1/1 --output /dev/null", "--output: expected a file, got /dev/null"),
        ("--all-users --shard 1/2", "--shard: expected --all-users and --output with it"),
        ("--user a --shard 1/2 --output x", "--shard: expected --all-users"),
        ("--all-users --output x --shard 0/2", "expected I/N with I from 1 to N"),
        ("--all-users --output x --shard 3/2", "expected I/N with I from 1 to N"),
        ("--all-users --output x --shard half", "expected I/N, such as 1/4"),
        (f"--all-users --output x --shard 1/{10**9}", "expected I/N with I from 1"),
        (f"--all-users --output x --shard 1/{'9' * 5000}", "expected I/N with I from"),
        ("--merge", "--merge: expected --output, the file to write, got none"),
        ("--merge --all-users", "--merge: expected only the files of the shards and --output"),
        ("--merge --output x --top 3 --json", "got --top, --json"),
        ("--merge --output x", "the manifest of a shard of a bulk recall, got no file"),
        ("'a second run' --all-users", "expected one RUN, got 2."),
    ],
)
def test_an_invalid_value_is_rejected(cli, run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in cli.error("recall", run, *shlex.split(arguments))
    assert "expected one RUN, got 0." in cli.error("recall", "--all-users")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/dev/null/x", "--output: expected a writable location"),
        ("none/lists.tsv", "--output: expected a file in an existing folder"),
    ],
)
def test_an_unwritable_output_is_rejected_before_recall(cli, run, monkeypatch, output, message):
    monkeypatch.chdir(run.parent)
    monkeypatch.setattr("mindref.recommender.bulk.recall_lists", None)
    assert message in cli.error("recall", run, "--all-users", "--output", output)


def test_shards_are_written_and_merged(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr("mindref.recommender.bulk.USERS_PER_BLOCK", 7)
    arguments = ["recall", run, "--all-users", "--format", "jsonl", "--top", 3]
    paths = [tmp_path / f"part-{i}" for i in (1, 2)]
    for i, path in enumerate(paths, 1):
        result = cli(*arguments, "--shard", f"{i}/2", "--output", path)
        users = {1: "users 1 to 28", 2: "users 29 to 60"}[i]
        assert (result.code, result.out) == (0, "")
        assert result.err.splitlines() == [f"shard {i} of 2: {users} of 60"]
    result = cli("recall", "--merge", *paths, "--output", tmp_path / "lists")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (tmp_path / "lists").read_text() == cli(*arguments).out
