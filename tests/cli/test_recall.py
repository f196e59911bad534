"""mindref recall: selection of users, output formats, output files."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pytest

import mindref
from mindref.cli.recall import parse_item_ids
from mindref.recommender.serving.recall import RequestedLists
from tests.runs import SMALL


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
    head = "this history: 0 behaviours, 1 interest\n"
    assert empty.startswith(f"{head}  popular items, because no behaviour is known\n")
    (answer,) = cli.json("recall", run, "--history", "")
    assert (answer["fallback"], {x["interest"] for x in answer["items"]}) == ("popular", {-1})


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


@pytest.mark.rules("recall-R36")
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


def test_unknown_items_of_a_history_are_skipped_with_a_warning(cli, run):
    names = cli("recall", run, "--history", history(run), "--format", "tsv")
    for form in ("table", "tsv", "jsonl"):
        mixed = cli("recall", run, "--history", f"what,{history(run)},", "--format", form)
        assert mixed.err.startswith("--history: 1 of ")
        assert mixed.err.endswith("items that are not in the catalogue or untrained: 'what'\n")
        assert form != "tsv" or mixed.out == names.out
    table = cli("recall", run, "--history", f"what,{history(run)}")
    assert "  not in the catalogue or untrained: what\n" in table.out


@pytest.mark.rules("recall-R38")
def test_a_killed_command_leaves_the_earlier_file(cli, run, tmp_path, monkeypatch):
    path, left = tmp_path / "lists", tmp_path / ".lists.0a1b0a1b0a1b.tmp"
    arguments = ["recall", run, "--all-users", "--output", path]
    cli.succeed(*arguments)
    complete = path.read_bytes()
    with monkeypatch.context() as context:
        context.setattr(RequestedLists, "__iter__", Mock(side_effect=KeyboardInterrupt))
        assert cli(*arguments, "--top", 3).code == 130
    assert path.read_bytes() == complete
    left.write_text("half")  # of a process that was killed
    cli.succeed(*arguments)
    assert path.read_bytes() == complete
    assert not left.exists()


@pytest.mark.rules("recall-R42", "recall-R45", "recall-R47")
def test_options_of_the_lists_are_those_of_python(cli, run, tmp_path):
    model = mindref.load(run)
    items, history = list(model.served.dense), list(model.served.dense)[:9]
    only, exclude = tmp_path / "only", tmp_path / "exclude"
    only.write_text("\n".join([*items[::2], "nobody"]))
    exclude.write_text("\n".join(items[10:30]))
    filters = {"only": items[::2], "exclude": items[10:30], "per_interest": 2}
    words = ("--only", only, "--exclude", exclude, "--per-interest", 2, "--index", "exact")
    for name, value in (("--history", ",".join(history)), ("--user", "customer-0004")):
        asked = {"user": value} if name == "--user" else {"history": history}
        for option, exclude_seen in (
            ([], None),
            (["--include-seen"], False),
            (["--exclude-seen"], True),
        ):
            result = cli.succeed("recall", run, name, value, *words, *option, "--top", 5, "--json")
            expected = model.recommend(**asked, n=5, exclude_seen=exclude_seen, **filters)
            (answer,) = json.loads(result.out)
            assert [x["item"] for x in answer["items"]] == [x.item for x in expected]
            assert answer["index"] == {"kind": "exact", "recall": 1.0}
            text = "items are not in the catalogue or untrained: 'nobody'"
            assert result.err == f"--only {only}: 1 of {len(items[::2]) + 1} {text}\n"


def test_a_stopped_training_is_named_by_recall_and_evaluate(cli, run, tmp_path):
    assert "not finished" not in cli.succeed("evaluate", run).err
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped)
    (stopped / "report.json").unlink()
    line = f"Warning: the training of {stopped} is not finished; mindref train --resume {stopped}"
    for words in (["recall", stopped, "--history", history(run)], ["evaluate", stopped]):
        assert cli.succeed(*words).err.startswith(f"{line} continues it\n")
    (stopped / "experiment.json").write_text("{}")
    assert "not finished" not in cli.succeed("evaluate", stopped).err, "no report: a trial"


@pytest.mark.rules("recall-R57")
def test_users_of_a_run_of_data_in_memory(tmp_path, cli):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 500), rng.integers(100, 130, 500)
    frame = {"customer": users, "product": items, "ordered": np.arange(500)}
    run, data = tmp_path / "run", tmp_path / "log.csv"
    model = mindref.MIND(**{**SMALL, "steps": 2, "backend": "numpy"})
    model.fit(frame, user="customer", item="product", time="ordered", run=run)
    result = cli.succeed("recall", run, "--user", "0", "--top", "3")
    assert (result.out.partition(":")[0], result.err) == ("user 0", "")
    (answer,) = cli.json("recall", run, "--user", "2", "--top", "3")
    assert (answer["user"], type(answer["items"][0]["item"])) == (2, int)
    data.write_text("customer,product,ordered\n2,101,1\n2,102,2\n")
    assert "user 2: 2 behaviours" in cli.succeed("recall", run, "--user", "2", "--data", data).out
    data.write_text("what,else\n2,101\n")
    message = cli.error_line("recall", run, "--user", "2", "--data", data)
    assert "a column 'customer' (user), got 2 columns" in message
    model.fit(users.tolist(), items.tolist(), run=tmp_path / "arrays")
    message = cli.error_line("recall", tmp_path / "arrays", "--user", "2", "--data", data)
    assert "--user" not in message
    assert message.endswith("give the columns the names of the run's log, or user, item and time\n")
