"""mindref evaluate: the metrics of the report, other lengths, other logs, predictions."""

import json

import pytest

import mindref
from mindref.cli.reports import note_lines
from mindref.errors import ConfigError
from mindref.recommender.evaluate_run import SEEN_TARGETS, evaluate_run
from tests.runs import kept_report, options, write_log


def test_the_printed_report_is_complete(cli, run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = cli.succeed("evaluate", run)
    for word in ("hit_rate@10", "popularity", "behaviours", "8-15", "interests of "):
        assert word in result.out, word
    assert " test cases, each ranks the whole catalogue" in result.out
    assert "\n0 " not in result.out, "what is zero is not worth a line"
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_note_suggests_an_option():
    notes = {"targets unknown to the run": 0, SEEN_TARGETS: 1252, "cases without a target": 3}
    assert note_lines(notes, hidden=False) == [f"1,252 {SEEN_TARGETS}", "3 cases without a target"]
    assert "--include-seen" in note_lines(notes, hidden=True)[0]


def test_predictions_equal_the_recall_lists(cli, trained_run, tmp_path):
    file = tmp_path / "lists.tsv"
    report = cli.json("evaluate", trained_run, "--predictions", file, "--at", "5")
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    assert lines[0] == ["user", "rank", "item", "score", "interest"]
    assert len(lines) == 1 + 5 * report["cases"]
    model = mindref.load(trained_run)
    log = model.served.log
    user = lines[1][0]
    row = log.interactions.row(list(log.user_ids).index(user))
    # the history of a case is all but the last event; the model has no user features
    expected = model.recommend([log.item_ids[i] for i in row[:-1]], 5)
    assert [line[2] for line in lines[1:6]] == [x.item for x in expected]
    assert [int(line[1]) for line in lines[1:6]] == [1, 2, 3, 4, 5]
    assert [int(line[4]) for line in lines[1:6]] == [x.interest for x in expected]


@pytest.mark.rules("data-R95", "data-R97", "data-R98", "data-R99")
def test_all_items_of_the_last_basket_are_targets(cli, tmp_path):
    """Each user buys the same two items four times, and a popular item between."""
    bought = [(u, f"{u}-{i}", t) for u in range(20) for t in (1, 3, 5, 7) for i in range(2)]
    rows = [f"{u},{item},{t}" for u, item, t in [*bought, *((u, "x", 4) for u in range(20))]]
    data, run = write_log(tmp_path / "log.csv", rows), tmp_path / "run"
    words = ["--split", "last_basket", "--out", run]
    result = cli.succeed("train", "--data", data, *words, *options(backend="numpy", interests=2))
    assert "67% of the interactions repeat an item of the user, so lists include" in result.err
    assert "40 targets in 20 cases: 2.0 in a case on average\n" in result.out
    report = cli.json("evaluate", run, "--at", "2")
    assert (report["cases"], report["targets"]) == (20, 40)
    own_counts = report["metrics"]["test"]["own_counts"]
    assert all(own_counts[f"{name}@2"]["value"] == 1 for name in ("recall", "ndcg", "hit_rate"))
    assert report["metrics"]["test"]["popularity"]["recall@2"]["value"] < 0.2
    assert cli.json("train", "--resume", run) == {"run": str(run), **kept_report(run)}
    write_log(data, [f"{u},{t},{t}" for u in range(20) for t in range(4)])
    message = cli.error("train", "--data", data, *words[:-1], tmp_path / "other")
    assert message.endswith("got times that are all different; use leave_last_out\n")


def test_another_log_is_evaluated_on_the_items_of_the_run(cli, trained_run, shop, tmp_path):
    lines = shop.read_text().splitlines()
    names = [line.split("\t")[1] for line in lines[1:40]]
    items = [*dict.fromkeys(names)][:12]
    rows = [f"u{u},{item},{i}" for u in range(4) for i, item in enumerate([*items, "unknown"])]
    other = write_log(tmp_path / "other.csv", rows)
    found = cli.json("evaluate", trained_run, "--data", other, "--cases", "validation")
    assert found["cases"] == 4
    evaluate = ("evaluate", trained_run, "--data", other)
    assert "expected a case with a target, got none" in cli.error(*evaluate)
    write_log(other, [f"u{u},x{i},{i}" for u in range(4) for i in range(6)])
    message = cli.error_line(*evaluate)
    expected = "evaluate: expected items of the run's catalogue, got none of the 6 items of the log"
    assert f"{expected}: 'x0', 'x1', 'x2', 'x3', 'x4' ...; the run has 'article-" in message


def test_another_log_is_read_with_the_options_of_the_run(tmp_path, cli):
    rows = [f"{u};{i};{10 * u + i}" for u in range(30) for i in range(u % 5, u % 5 + 6)]
    log = tmp_path / "log.txt"
    log.write_text("\n".join(rows) + "\n")
    run = tmp_path / "run"
    columns = ["--user", "1", "--item", "2", "--time", "3", "--delimiter", ";"]
    trained = cli("train", "--data", log, *columns, "--out", run, "--quiet", *options())
    assert trained.code == 0
    moved = log.rename(tmp_path / "moved.txt")
    assert "name it with --data" in cli("evaluate", run).err
    result = cli("evaluate", run, "--data", moved, "--json")
    assert (result.code, json.loads(result.out)["cases"]) == (0, 30)
    assert cli("train", "--resume", run, "--data", moved, "--quiet").code == 0
    assert cli("evaluate", run).code == 0, "the run knows where its log lies now"


@pytest.mark.parametrize(
    ("words", "cases", "piece"),
    [
        ([], 58, "interests of"),
        (["--at", "3, 7"], 58, "hit_rate@7"),
        (["--cases", "validation"], 58, " validation cases, each ranks the whole catalogue"),
        (["--max-cases", 9], 9, f"{58 - 9} cases that are not in the sample"),
        (["--split", "comirec"], 6, " test cases, each ranks the whole catalogue"),
    ],
)
def test_an_option_selects_cases_and_metrics(cli, trained_run, words, cases, piece):
    report = cli.json("evaluate", trained_run, *words)
    assert report["cases"] == cases
    text = cli.succeed("evaluate", trained_run, *words)
    assert piece in text.out
    assert text.err.count("Warning: ") == len(report["warnings"]) == ("--split" in words)


def test_lists_as_long_as_the_catalogue_have_every_trained_target(cli, trained_run):
    report = cli.json("evaluate", trained_run, "--include-seen", "--at", "111,5000")
    untrained = report["untrained"]["target_share"]  # these targets are misses in any list
    metrics = report["metrics"]["test"]["model"]  # 111: the whole catalogue
    assert metrics["hit_rate@111"]["value"] == metrics["hit_rate@5000"]["value"]
    assert metrics["hit_rate@111"]["value"] == pytest.approx(1 - untrained)
    assert metrics["mrr@111"] == metrics["mrr@5000"]


@pytest.mark.parametrize("lengths", [(), (0,), (10, -1), (100_001,), (1.5,)])
def test_list_lengths_below_1_are_rejected(trained_run, lengths):
    with pytest.raises(ConfigError, match="list_lengths: expected lengths of lists from 1 to"):
        evaluate_run(trained_run, list_lengths=lengths)
