"""mindref recall: selection of users, output formats, output files."""

import json
import re
import shlex
import shutil

import pytest

import mindref
from mindref.cli import run_settings
from mindref.cli.recall import parse_item_ids
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import checkpoint, items
from tests.recall.annoy_trees import needs_annoy
from tests.runs import messages, options, trained

SELECTION = "expected one of --user, --history, --all-users"
NO_ID = "at least one item id of the catalogue, got 2 other ids: 'x', 'y'"
NOT_CSV = "--history: expected items as one row of CSV"


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
    assert empty.startswith("this history: 0 behaviours, 1 interest\ninterest 0\n")


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


def test_json_and_a_format_are_rejected_together(cli, run, unread_log):
    for command in (("recall", run, "--all-users"), ("similar", run, "article-0001")):
        message = cli.error_line(*command, "--json", "--format", "table")
        assert "--json: expected no --format with it, got table; give one of the two\n" in message


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
        assert mixed.err.startswith("--history: 1 of ")
        assert mixed.err.endswith("items that are not in the catalogue or untrained: 'what'\n")
        assert form != "tsv" or mixed.out == names.out
    table = cli("recall", run, "--history", f"what,{history(run)}")
    assert "  not in the catalogue or untrained: what\n" in table.out
    expected = "--history: expected the id or the title of a trained item, got 'what', 'else'"
    assert expected in cli.error("recall", run, "--history", "what,else")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--user nobody", "--user: expected one of the 60 users of the log, got 'nobody'"),
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
        ("--all-users --output /dev/null/x", "--output: expected a writable location"),
        ("--all-users --output none/lists", "--output: expected a file in an existing folder"),
    ],
)
def test_an_invalid_value_is_rejected(cli, run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    if "--output /" in arguments or "none/" in arguments:  # checked before the lists are made
        monkeypatch.setattr("mindref.recommender.serving.recall.recall_lists", None)
    assert message in cli.error("recall", run, *shlex.split(arguments))
    assert "expected one RUN, got 0." in cli.error("recall", "--all-users")
    assert not (tmp_path / "x").exists()


def test_shards_are_written_and_merged(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr("mindref.recommender.serving.recall.USERS_PER_BLOCK", 7)
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


def served_items(run):
    """Return the ids of the items that a run may recommend."""
    return list(mindref.load(run).served.dense)


@pytest.mark.rules("recall-R42", "recall-R44", "recall-R47")
def test_files_of_items_filter_the_lists(cli, run, tmp_path):
    model, items = mindref.load(run), served_items(run)
    only, exclude, by_user = (tmp_path / x for x in ("only", "exclude", "by user"))
    only.write_text("\n".join([*items[::2], "nobody"]))
    exclude.write_text("\n".join(items[:30]))
    by_user.write_text(f"customer-0001\t{items[40]}\ncustomer-0001\t{items[44]}\nwho\t{items[0]}\n")
    filters = ("--only", only, "--exclude", exclude, "--top", 5, "--json")
    result = cli.succeed("recall", run, "--user", "customer-0004", *filters)
    text = "items are not in the catalogue or untrained: 'nobody'"
    assert result.err == f"--only {only}: 1 of {len(items[::2]) + 1} {text}\n"
    expected = model.recommend(user="customer-0004", n=5, only=items[::2], exclude=items[:30])
    assert [x["item"] for x in json.loads(result.out)[0]["items"]] == [x.item for x in expected]
    names = ",".join(items[50:55])
    result = cli.succeed("recall", run, "--history", names, *filters)
    expected = model.recommend(names.split(","), n=5, only=items[::2], exclude=items[:30])
    assert [x["item"] for x in json.loads(result.out)[0]["items"]] == [x.item for x in expected]
    result = cli.succeed("recall", run, "--all-users", "--only", by_user, "--json", "--top", 9)
    assert f"--only {by_user}: 1 of 2 users are not in the log: 'who'\n" in result.err
    first, *others = json.loads(result.out)
    assert {x["item"] for x in first["items"]} <= {items[40], items[44]}
    assert {len(x["items"]) for x in others} == {9}


@pytest.mark.rules("recall-R45")
def test_a_limit_per_interest_is_an_option(cli, run):
    arguments = ["recall", run, "--history", ",".join(served_items(run)[:9]), "--json"]
    (answer,) = json.loads(cli.succeed(*arguments, "--per-interest", 2, "--top", 9).out)
    counts = [[x["interest"] for x in answer["items"]].count(k) for k in range(answer["interests"])]
    assert max(counts) == 2
    table = cli.succeed(*arguments[:-1], "--per-interest", 1).out
    assert len(table.splitlines()) == 2 + 2 * len(counts)


@pytest.mark.rules("recall-R36", "recall-R49")
def test_shards_with_filters_are_merged_to_the_file_without_shards(cli, run, tmp_path):
    items, only, other = served_items(run), tmp_path / "only", tmp_path / "other"
    lines = [f"customer-{u:04}\t{items[i]}" for u in range(1, 30) for i in range(u, u + 40)]
    only.write_text("\n".join(lines))
    other.write_text("\n".join(lines[:-1]))
    limits = ("--all-users", "--top", 7, "--per-interest", 3)
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    cli.succeed("recall", run, *limits, "--only", only, "--output", whole)
    shards = [tmp_path / f"shard-{i}" for i in (1, 2)]
    for i, shard in enumerate(shards, 1):
        cli.succeed("recall", run, *limits, "--only", only, "--shard", f"{i}/2", "--output", shard)
    cli.succeed("recall", "--merge", *shards, "--output", merged)
    assert merged.read_bytes() == whole.read_bytes()
    for change in (("--only", other), ("--exclude", other, "--only", only), ("--only", only)):
        limits = limits[:3] if change == ("--only", only) else limits
        cli.succeed("recall", run, *limits, *change, "--shard", "2/2", "--output", shards[1])
        names = "only|exclude|per_interest"
        message = cli.error_line("recall", "--merge", *shards, "--output", merged)
        assert re.search(f"shard-2: ({names}): expected .*; merge shards of one recall", message)


@pytest.mark.rules("recall-R48")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x\ny\n", f"{NO_ID}; write"),
        ("u\tx\nv\ty\n", NO_ID),
        ("", "a user id, a tab and an item id in every line, got an empty file"),
        ("a\tb\tc\n", ", line 1: expected one item id a line, or"),
        (None, "expected a UTF-8 file with one item id a line"),
    ],
)
@pytest.mark.parametrize("option", [("--user", "customer-0001"), ("--all-users",)])
def test_a_wrong_file_is_an_error_before_the_model_is_loaded(
    cli, run, tmp_path, monkeypatch, content, message, option
):
    monkeypatch.setattr(checkpoint, "load_best", lambda *_: pytest.fail("the model was loaded"))
    path = tmp_path / "items"
    if content is not None:
        path.write_text(content)
    assert message in cli.error_line("recall", run, *option, "--only", path)
    output = ("--all-users", "--shard", "1/2", "--output", tmp_path / "shard")
    assert message in cli.error_line("recall", run, *output, "--only", path)


def test_lists_by_user_do_not_fit_a_history(cli, run, tmp_path, monkeypatch):
    path = tmp_path / "items"
    path.write_text(f"customer-0001\t{served_items(run)[0]}\n")
    message = "expected lists for histories, got lists by user; a history has no user id: give item"
    names = ",".join(served_items(run)[:3])
    monkeypatch.setattr(ServedModel, "load", lambda *_: pytest.fail("the model was loaded"))
    assert message in cli.error_line("recall", run, "--history", names, "--exclude", path)


@pytest.mark.rules("recall-R50")
def test_titles_name_the_items_of_a_history(cli, run):
    names = served_items(run)[:3]
    titles = [
        mindref.load(run).served.items.titles[mindref.load(run).served.dense[x]] for x in names
    ]
    by_id = cli.succeed("recall", run, "--history", ",".join(names))
    text = ",".join(f'"{title}"' for title in titles)
    assert cli.succeed("recall", run, "--history", text.upper()).out == by_id.out
    mixed = cli.succeed("recall", run, "--history", f'{names[0]},"{titles[1]}x"')
    assert mixed.err.startswith(
        "--history: 1 of 2 behaviours have items that are not in the catalogue or untrained:"
        f" '{titles[1]}x'"
    )
    assert f"; closest: {names[1]} '{titles[1]}'" in mixed.err
    message = cli.error_line("recall", run, "--history", f'"{titles[1]}x"')
    assert f"of a trained item, got '{titles[1]}x'; closest: " in message


@pytest.mark.rules("recall-R55")
def test_a_title_with_commas_is_proposed_in_quotes(cli, run):
    served = mindref.load(run).served
    names = served_items(run)[:2]
    read_items, title = items.read_items, "Fugitive, The (1993)"

    def read_with_title(*arguments):
        catalogue = read_items(*arguments)
        catalogue.titles[served.dense[names[0]]] = title
        return catalogue

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "read_items", read_with_title)
        hint = f"; write a title with commas in double quotes: '\"{title}\"'"
        assert cli.error_line("recall", run, "--history", title).rstrip().endswith(hint)
        mixed = cli.succeed("recall", run, "--history", f"{names[1]},{title}")
        assert mixed.err.splitlines()[0].endswith(f": 'Fugitive', ' The (1993)'{hint}")
        quoted = cli.succeed("recall", run, "--history", f'{names[1]},"{title}"')
        assert quoted.out == cli.succeed("recall", run, "--history", ",".join(names[::-1])).out
    help_text = " ".join(cli.succeed("recall", "--help").out.split())
    assert "title with commas in double quotes" in help_text


@pytest.mark.rules("recall-R52")
def test_seen_items_are_left_out_as_in_training(cli, shop, tmp_path):
    run = tmp_path / "run"
    arguments = ("--data", shop, "--out", run, "--quiet", "--json", "--include-seen", *options())
    cli.succeed("train", *arguments)
    names = served_items(run)[:9]
    question = ("recall", run, "--history", ",".join(names), "--top", 500, "--json")
    for option, present in (((), True), (("--exclude-seen",), False), (("--include-seen",), True)):
        listed = {x["item"] for x in json.loads(cli.succeed(*question, *option).out)[0]["items"]}
        assert bool(listed & set(names)) == present
    assert "[default: as in training]" in " ".join(cli.succeed("recall", "--help").out.split())


@pytest.mark.rules("recall-R51")
def test_an_empty_history_without_scores_has_no_list_and_a_reason(cli, tmp_path):
    run = trained(tmp_path / "run", model="item_knn")
    result = cli.succeed("recall", run, "--history", "")
    assert result.out == (
        "this history: 0 behaviours, scored without interests\n  no items: no known behaviour\n"
    )
    assert json.loads(cli.succeed("recall", run, "--history", "", "--json").out)[0]["items"] == []


def test_a_stopped_training_is_named_by_recall_and_evaluate(cli, run, tmp_path, monkeypatch):
    assert "not finished" not in cli.succeed("evaluate", run).err
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped)
    (stopped / "report.json").unlink()
    line = f"Warning: the training of {stopped} is not finished; mindref train --resume {stopped}"
    for words in (["recall", stopped, "--history", history(run)], ["evaluate", stopped]):
        assert cli.succeed(*words).err.startswith(f"{line} continues it\n")
    (stopped / "experiment.json").write_text("{}")
    assert "not finished" not in cli.succeed("evaluate", stopped).err, "no report: a trial"
    (stopped / "experiment.json").unlink()
    monkeypatch.setattr(run_settings, "read_run_config", lambda _: {"source": {"place": "memory"}})
    assert f"{line} --data FILE continues it\n" in cli.succeed("evaluate", stopped).err
