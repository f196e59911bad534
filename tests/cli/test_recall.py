"""mindref recall: who is asked for, in which form, and where it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mindref
from mindref.cli.recall import ids_of
from mindref.run.files import sealed
from mindref.run.items import digest
from tests.cli.conftest import Cli


def history(run: Path, count: int = 9) -> str:
    return ",".join(mindref.load(run).served.items.ids[:count])


def test_a_list_for_people_is_grouped_by_interest(cli: Cli, run: Path) -> None:
    said = cli("recall", run, "--history", history(run), "--top", 6)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "this history: 9 behaviours, 3 interests"
    assert lines[1].startswith("  most recent: ")
    expected = mindref.load(run).recommend(history(run).split(","), 6)
    for rank, x in enumerate(expected, 1):
        place = next(i for i, line in enumerate(lines) if line.startswith(f"  {rank:>4}  "))
        assert lines[place].endswith(f"  {x.title}")
        above = [line for line in lines[:place] if line.startswith("interest ")]
        assert above[-1] == f"interest {x.interest}"


def test_a_user_is_greeted_by_id(cli: Cli, run: Path) -> None:
    said = cli("recall", run, "--user", "customer-0004")
    assert said.code == 0
    assert said.out.startswith("user customer-0004: ")


def test_json_is_one_value_and_lines_are_one_each(cli: Cli, run: Path) -> None:
    whole = json.loads(cli("recall", run, "--all-users", "--json", "--top", 3).out)
    lines = cli("recall", run, "--all-users", "--format", "jsonl", "--top", 3).out.splitlines()
    assert [json.loads(line) for line in lines] == whole
    assert len(whole) == 60
    first = whole[0]
    assert first["user"] == "customer-0001"
    assert [x["rank"] for x in first["items"]] == [1, 2, 3]
    assert sorted(first["items"][0]) == ["interest", "item", "rank", "score", "title"]


def test_all_users_are_a_table_for_machines_by_default(cli: Cli, run: Path) -> None:
    lines = cli("recall", run, "--all-users", "--top", 4).out.splitlines()
    assert lines[0] == "user\trank\titem\tscore\tinterest\ttitle"
    assert len(lines) == 1 + 60 * 4
    assert {len(line.split("\t")) for line in lines} == {6}


@pytest.mark.parametrize("form", ["table", "tsv", "jsonl"])
def test_a_file_has_what_the_terminal_would_have(
    cli: Cli, run: Path, tmp_path: Path, form: str
) -> None:
    words = ["recall", run, "--history", history(run), "--format", form]
    shown = cli(*words)
    said = cli(*words, "--output", tmp_path / "lists")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert (tmp_path / "lists").read_text(encoding="utf-8") == shown.out


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.recommender.bulk.recall", lambda *_, **__: pytest.fail("worked"))
    said = cli("recall", run, "--all-users", "--output", "/dev/null/x")
    assert said.code == 2
    assert "--output: expected a place that can be written" in said.err


def test_an_output_in_a_missing_folder_is_refused_before_the_work(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.recommender.bulk.recall", lambda *_, **__: pytest.fail("worked"))
    said = cli("recall", run, "--all-users", "--output", tmp_path / "none" / "lists.tsv")
    assert said.code == 2
    assert "--output: expected a file in a folder that exists" in said.err


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
def test_a_history_is_a_row_of_csv(text: str, ids: list[str]) -> None:
    assert ids_of("--history", text) == ids


@pytest.mark.parametrize("text", ["a\nb", '"a', '"a"b'])
def test_a_history_that_is_no_row_of_csv_is_refused(cli: Cli, run: Path, text: str) -> None:
    said = cli("recall", run, "--history", text)
    assert said.code == 2
    assert "--history: expected item ids as one row of CSV" in said.err


def test_a_table_shows_what_can_be_given_back(cli: Cli, run: Path) -> None:
    table = cli("recall", run, "--history", history(run)).out
    (answer,) = json.loads(cli("recall", run, "--history", history(run), "--json").out)
    for x in answer["items"]:
        assert f"  {x['item']}  {x['title']}\n" in table


def test_approximate_lists_are_marked(cli: Cli, run: Path) -> None:
    said = cli("recall", run, "--history", history(run), "--json", "--index", "annoy")
    (answer,) = json.loads(said.out)
    assert answer["index"]["kind"] == "annoy"
    assert 0.95 <= answer["index"]["recall"] <= 1
    lines = [x for x in said.err.splitlines() if not x.startswith("compiling kernels")]
    assert len(lines) == 1
    assert lines[0].startswith("approximate search by annoy: it finds ")
    said = cli("recall", run, "--history", history(run), "--json", "--index", "exact")
    assert json.loads(said.out)[0]["index"] == {"kind": "exact", "recall": 1.0}
    assert said.err == ""


def test_unknown_items_of_a_history_are_told_and_left_out(cli: Cli, run: Path) -> None:
    known = cli("recall", run, "--history", history(run), "--format", "tsv")
    for form in ("table", "tsv", "jsonl"):
        mixed = cli("recall", run, "--history", f"what,{history(run)},", "--format", form)
        assert mixed.err.startswith("1 of ")
        assert mixed.err.endswith("items are not in the catalogue: 'what'\n")
        assert form != "tsv" or mixed.out == known.out
    table = cli("recall", run, "--history", f"what,{history(run)}")
    assert "  not in the catalogue: what\n" in table.out
    said = cli("recall", run, "--history", "what,else")
    assert said.code == 2
    assert "--history: expected an item of the catalogue, got what, else" in said.err


def test_an_empty_history_is_answered(cli: Cli, run: Path) -> None:
    said = cli("recall", run, "--history", "")
    assert said.code == 0
    assert said.out.startswith("this history: 0 behaviours, 1 interests\ninterest 0\n")


def test_seen_items_are_shown_when_asked_for(cli: Cli, run: Path) -> None:
    words = ["recall", run, "--history", history(run), "--top", 500, "--format", "jsonl"]
    seen = set(history(run).split(","))
    for option, there in (("--exclude-seen", False), ("--include-seen", True)):
        found = {x["item"] for x in json.loads(cli(*words, option).out)["items"]}
        assert bool(found & seen) == there


@pytest.mark.parametrize(
    "words",
    [[], ["--user", "a", "--all-users"], ["--user", "a", "--history", ""]],
)
def test_exactly_one_must_be_asked_for(cli: Cli, run: Path, words: list[str]) -> None:
    said = cli("recall", run, *words)
    assert said.code == 2
    assert "expected one of --user, --history, --all-users" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "nobody"], "--user: expected one of the 60 users of the log, got nobody"),
        (["--user", "a", "--data", "nowhere"], "nowhere: expected a file or a folder"),
        (["--user", "a", "--top", "100001"], "100001 is not in the range"),
        (["--user", "a", "--index", "fast"], "--index: expected auto or exact or annoy"),
    ],
)
def test_a_bad_value_is_refused(cli: Cli, run: Path, words: list[str], message: str) -> None:
    said = cli("recall", run, *words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_a_warning_goes_to_standard_error(cli: Cli, run: Path) -> None:
    (run / "index").write_text("a file stands where the folder would")
    said = cli("recall", run, "--history", history(run), "--json")
    assert said.code == 0
    assert "No index is kept" in said.err
    json.loads(said.out)


def test_control_characters_of_titles_never_reach_a_terminal(cli: Cli, run: Path) -> None:
    lines = (run / "items.tsv").read_text().splitlines()
    changed = [line.rsplit("\t", 1)[0] + "\tred \x1b[31m\\nalarm\x07" for line in lines[1:]]
    text = "\n".join([lines[0], *changed]) + "\n"
    (run / "items.tsv").write_text(text)
    words = {**json.loads((run / "config.json").read_text()), "items": digest(text)}
    (run / "config.json").write_text(json.dumps(sealed(words)))
    table = cli("recall", run, "--history", history(run)).out
    assert "\x1b" not in table
    assert "\x07" not in table
    tsv = cli("recall", run, "--history", history(run), "--format", "tsv").out.splitlines()
    assert len(tsv) == 21
    assert {len(line.split("\t")) for line in tsv} == {6}


def test_shares_are_written_and_merged(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.recommender.bulk.USERS_AT_ONCE", 7)
    words = ["recall", run, "--all-users", "--format", "jsonl", "--top", 3]
    paths = [tmp_path / f"part-{i}" for i in (1, 2)]
    for i, path in enumerate(paths, 1):
        said = cli(*words, "--shard", f"{i}/2", "--output", path)
        users = {1: "users 1 to 28", 2: "users 29 to 60"}[i]
        assert (said.code, said.out, said.err) == (0, "", f"part {i} of 2: {users} of 60\n")
    said = cli("recall", "--merge", *paths, "--output", tmp_path / "lists")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert (tmp_path / "lists").read_text() == cli(*words).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--all-users", "--shard", "1/2"], "--shard: expected --all-users and --output beside it"),
        (["--user", "a", "--shard", "1/2", "--output", "x"], "--shard: expected --all-users"),
        (["--all-users", "--output", "x", "--shard", "0/2"], "expected I/N with I from 1 to N"),
        (["--all-users", "--output", "x", "--shard", "3/2"], "expected I/N with I from 1 to N"),
        (["--all-users", "--output", "x", "--shard", "half"], "expected I/N, such as 1/4"),
        (["--merge"], "--merge: expected --output, the file to write, got none"),
        (["--merge", "--all-users"], "--merge: expected the files of the parts and --output alone"),
        (["--merge", "--output", "x", "--top", "3", "--json"], "got --top, --json beside it"),
        (["--all-users", "--output", "x", "--shard", f"1/{10**9}"], "expected I/N with I from 1"),
        (
            ["--all-users", "--output", "x", "--shard", f"1/{'9' * 5000}"],
            "expected I/N with I from",
        ),
        (["--merge", "--output", "x"], "the manifest of a part of a bulk recall, got no file"),
        (["a second run", "--all-users"], "expected one RUN, got 2."),
    ],
)
def test_a_share_that_cannot_be_meant_is_refused(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = cli("recall", run, *words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert not (tmp_path / "x").exists()


def test_no_run_is_a_matter_of_usage(cli: Cli) -> None:
    said = cli("recall", "--all-users")
    assert said.code == 2
    assert "expected one RUN, got 0." in said.err


def test_the_share_of_a_device_is_refused(cli: Cli, run: Path) -> None:
    said = cli("recall", run, "--all-users", "--shard", "1/1", "--output", "/dev/null")
    assert said.code == 2
    assert "--output: expected a file, got /dev/null" in said.err
