"""mindref evaluate: the metrics of the report, other lengths, other logs, predictions."""

import json

import pytest

import mindref
from mindref.cli.reports import note_lines
from mindref.errors import ConfigError
from mindref.recommender.evaluate_run import SEEN_TARGETS, evaluate_run
from tests.runs import options, write_log


def test_evaluation_repeats_the_metrics_of_the_training(cli, trained_run):
    result = cli("evaluate", trained_run, "--json")
    assert (result.code, result.err) == (0, "")
    found, report = json.loads(result.out), json.loads((trained_run / "report.json").read_text())
    for name in ("metrics", "cases", "by_history_length", "interests"):
        assert found[name] == report[name], name
    assert SEEN_TARGETS in found["notes"]


def test_the_printed_report_is_complete(cli, run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = cli.succeed("evaluate", run)
    for word in ("hit_rate@10", "popularity", "behaviours", "8-15", "interests of "):
        assert word in result.out, word
    assert " test cases, each ranks the whole catalogue" in result.out
    assert "\n0 " not in result.out, "what is zero is not worth a line"
    validation = cli("evaluate", run, "--cases", "validation").out
    assert " validation cases, each ranks the whole" in validation
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_note_suggests_an_option():
    notes = {"targets unknown to the run": 0, SEEN_TARGETS: 1252, "cases without a target": 3}
    assert note_lines(notes, hidden=False) == [f"1,252 {SEEN_TARGETS}", "3 cases without a target"]
    assert "--include-seen" in note_lines(notes, hidden=True)[0]


@pytest.mark.parametrize("which", ["test", "validation"])
def test_a_sample_of_the_cases_is_evaluated(cli, trained_run, which):
    arguments = ("evaluate", trained_run, "--cases", which)
    sample, other, whole = (
        json.loads(cli(*arguments, "--json", "--max-cases", n).out) for n in (9, 10, 0)
    )
    left_out = "cases that are not in the sample"
    assert (sample["cases"], other["cases"], whole["notes"][left_out]) == (9, 10, 0)
    assert sample["notes"][left_out] == whole["cases"] - 9
    assert f" {left_out}" in cli(*arguments, "--max-cases", 9).out


def test_other_list_lengths(cli, trained_run):
    found = cli.json("evaluate", trained_run, "--at", "3, 7")
    names = set(found["metrics"]["test"]["model"])
    assert {name.split("@")[1] for name in names} == {"3", "7"}
    kinds = {name.split("@")[0] for name in names}
    assert kinds == {"hit_rate", "recall", "ndcg", "mrr", "coverage"}
    found = cli.json("evaluate", trained_run, "--include-seen", "--at", "111,5000")
    untrained = found["untrained"]["target_share"]  # these targets are misses in any list
    found = found["metrics"]["test"]["model"]  # 111: the whole catalogue
    assert found["hit_rate@111"]["value"] == found["hit_rate@5000"]["value"]
    assert found["hit_rate@111"]["value"] == pytest.approx(1 - untrained)
    assert found["mrr@111"] == found["mrr@5000"]


def test_a_small_catalogue_has_the_usual_list_lengths(cli, tmp_path):
    """Training and evaluation report at 50 for any number of items."""
    rows = [f"u{u},i{i},{i}" for u in range(8) for i in range(6)]
    log, run = write_log(tmp_path / "log.csv", rows), tmp_path / "run"
    arguments = options(metric="hit_rate@3", steps=1)
    trained = cli.json("train", "--data", log, "--out", run, *arguments)
    found = cli.json("evaluate", run)
    assert found["metrics"] == trained["metrics"]
    assert "hit_rate@50" in found["metrics"]["test"]["model"]


@pytest.mark.parametrize("index", [(), (0,), (10, -1), (100_001,), (1.5,)])
def test_list_lengths_below_1_are_rejected(trained_run, index):
    with pytest.raises(ConfigError, match="at: expected lengths of lists from 1 to 100000, got "):
        evaluate_run(trained_run, list_lengths=index)
    with pytest.raises(ConfigError, match="list_lengths: expected a list, got 10"):
        evaluate_run(trained_run, list_lengths=10)


def test_validation_cases_other_splits_and_seen_items(cli, trained_run):
    found = cli.json("evaluate", trained_run, "--cases", "validation")
    assert list(found["metrics"]) == ["validation"]
    result = cli("evaluate", trained_run, "--split", "comirec", "--json")
    assert (result.code, json.loads(result.out)["cases"]) == (0, 6)
    assert "test targets are training interactions of" in result.err
    assert json.loads(result.out)["warnings"]
    default, without, with_seen = (
        cli.json("evaluate", trained_run, *arguments)["metrics"]
        for arguments in ([], ["--exclude-seen"], ["--include-seen"])
    )
    assert default == without
    assert default != with_seen


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
