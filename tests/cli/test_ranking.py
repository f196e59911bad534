"""The ranking stage on the command line: trained, judged, served, and explained."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from mindref.cli import main
from mindref.recommender import ranking_run
from mindref.run.files import sealed
from tests.cli.conftest import Cli
from tests.runs import trained

SMALL = [
    "--width", "8", "--window", "5", "--attention-hidden", "4", "--hidden", "8", "--depth", "20",
    "--recalled", "6", "--popular", "3", "--batch", "16", "--steps", "4",
]  # fmt: skip


def training(made: Path, out: Path) -> list[str]:
    return ["train", "--model", "din", "--recall", str(made), "--out", str(out), *SMALL]


@pytest.fixture(scope="module")
def made(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of these tests alone: recall leaves an index in it."""
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("own") / "run"))


@pytest.fixture(scope="module")
def stage(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ranking stage for `made`, trained by the command."""
    run = tmp_path_factory.mktemp("stages") / "din"
    with pytest.raises(SystemExit) as ended:
        main([*training(made, run), "--quiet", "--json"])
    assert ended.value.code == 0
    return run


def test_training_ends_with_both_orders_and_what_to_do_next(
    cli: Cli, made: Path, tmp_path: Path
) -> None:
    said = cli(*training(made, tmp_path / "din"))
    assert said.code == 0, said.err
    for word in ("20 candidates a case", "order of recall", "gain", "hit_rate@10", "ndcg@10",
                 "gauc", "within"):  # fmt: skip
        assert word in said.out, word
    assert f"next: mindref recall {made} --rerank {tmp_path / 'din'} --user=" in said.out
    assert "step 4/4  loss 0." in said.err
    words = said.out.splitlines()[-1].removeprefix("next: mindref ").split()
    assert cli(*words).code == 0


def test_json_and_the_report_again(cli: Cli, made: Path, stage: Path, tmp_path: Path) -> None:
    said = cli(*training(made, tmp_path / "din"), "--json", "--product", "--start", "recall")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert json.loads(cli("evaluate", tmp_path / "din", "--json").out) == found
    settings = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    assert (settings["product"], settings["start"], settings["hidden"]) == (True, "recall", [8])
    again = cli("evaluate", tmp_path / "din")
    assert (again.code, again.err) == (0, "")
    for name in ("before", "after", "gain"):
        assert f"{found['within'][name]['gauc']['value']:.4f}" in again.out, name


@pytest.mark.rules("din-R22")
def test_settings_that_are_not_given_are_those_of_din(cli: Cli, made: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('model = "din"\nwidth = 8\nsteps = 2\nattention_hidden = [4]\nbatch = 4\n')
    said = cli("train", "--model", "din", "--recall", made, "--out", tmp_path / "din", "--quiet",
               "--config", file, "--steps", 1)  # fmt: skip
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    assert (found["steps"], found["width"], found["attention_hidden"]) == (1, 8, [4])
    assert (found["window"], found["hidden"], found["learning_rate"]) == (50, [64, 32], 0.001)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "din"], "--recall: expected the run whose candidates din ranks, got none"),
        (["--recall", "RUN"], "--recall: expected --model din beside it, got none"),
        (["--recall", "RUN", "--model", "maxmf"], "expected --model din beside it, got maxmf"),
        (["--attention-hidden", "4"], "--attention-hidden: expected --model din beside it"),
        (["--no-product"], "--product: expected --model din beside it, got none"),
        (["--model", "din", "--recall", "nowhere"], "nowhere: expected a run directory, got no"),
        (["--model", "din", "--recall", "STAGE"], "expected a run that recalls, got a ranking sta"),
        (["--model", "din", "--recall", "RUN", "--split", "paper"], "of its own, got --split; log"),
        (["--model", "din", "--recall", "RUN", "--include-seen"], "of its own, got --exclude-seen"),
        (["--model", "din", "--recall", "RUN", "--preset", "paper"], "of its own, got --preset"),
        (["--model", "din", "--recall", "RUN", "--format", "recbole"], "of its own, got --format"),
        (["--model", "din", "--recall", "RUN", "--recalled", "300"], "recalled: expected at most"),
        (["--model", "din", "--recall", "RUN", "--depth", "0"], "depth: expected 1 to 1000000"),
        (["--model", "din", "--recall", "RUN", "--start", "recall"], "items: expected shape"),
        (["--model", "din", "--recall", "RUN", "--out", "STAGE"], "no run there, got one; choose"),
        (["--model", "din", "--recall", "RUN", "--out", "/dev/null/x"], "place that can be writ"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_made(
    cli: Cli, made: Path, stage: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    places = {"RUN": made, "STAGE": stage}
    out = [] if "--out" in words else ["--out", tmp_path / "din"]
    said = cli("train", *out, *[places.get(word, word) for word in words])
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "din").exists()


@pytest.mark.rules("din-R22")
@pytest.mark.parametrize("words", [["--interests", "4"], ["--sampler", "uniform"], ["--normalise"]])
def test_a_setting_of_the_recall_stage_is_refused(
    cli: Cli, made: Path, tmp_path: Path, words: list[str]
) -> None:
    said = cli(*training(made, tmp_path / "din"), *words)
    assert said.code == 2
    assert f"din: expected a setting of the ranking stage, got {words[0][2:]}" in said.err
    assert not (tmp_path / "din").exists()


def test_a_damaged_run_and_another_log_are_refused(
    cli: Cli, run: Path, shop: Path, tmp_path: Path
) -> None:
    log = tmp_path / "shop.inter"
    log.write_text("".join(shop.read_text().splitlines(keepends=True)[:-1]))
    said = cli(*training(run, tmp_path / "din"), "--data", log)
    assert said.code == 2
    assert "log: expected the one that the run was trained on, got another" in said.err
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-9])
    said = cli(*training(run, tmp_path / "din"))
    assert said.code == 2
    assert "model.safetensors: expected a file of mindref, got " in said.err
    assert not (tmp_path / "din").exists()


def test_a_log_that_has_moved_can_be_named(cli: Cli, run: Path, tmp_path: Path) -> None:
    words = json.loads((run / "config.json").read_text())
    place = words["source"]["place"]
    words["source"]["place"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(sealed(words)))
    assert "nothing there" in cli(*training(run, tmp_path / "din")).err
    said = cli(*training(run, tmp_path / "din"), "--data", place, "--quiet")
    assert said.code == 0, said.err
    assert cli("train", "--resume", tmp_path / "din", "--data", place, "--quiet").code == 0


@pytest.mark.rules("din-R23")
def test_ctrl_c_saves_and_resuming_goes_on(
    cli: Cli, made: Path, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = ranking_run.take_step, tmp_path / "din"

    def interrupted(state, feed):  # type: ignore[no-untyped-def]
        if state.moments.step == 1:
            signal.raise_signal(signal.SIGINT)
        return real(state, feed)

    monkeypatch.setattr(ranking_run, "take_step", interrupted)
    said = cli(*training(made, out))
    assert (said.code, said.out) == (130, "")
    assert "Stopped at step 2 of 4; all is saved. Go on with: mindref train --resume" in said.err
    monkeypatch.undo()
    assert "it was stopped; mindref train --resume" in cli("evaluate", out).err
    assert cli("recall", made, "--rerank", out, "--history", "").code == 2
    assert "--resume: expected no other settings, got --steps" in (
        cli("train", "--resume", out, "--steps", 4).err
    )
    assert cli("train", "--resume", out, "--quiet").code == 0
    for name in ("model.safetensors", "report.json", "config.json"):
        assert (out / name).read_bytes() == (stage / name).read_bytes(), name


@pytest.mark.rules("din-R25")
def test_lists_in_the_order_of_din(cli: Cli, made: Path, stage: Path, tmp_path: Path) -> None:
    words = ["recall", made, "--user", "customer-0001", "--json"]
    plain = json.loads(cli(*words, "--top", 20).out)[0]
    found = json.loads(cli(*words, "--top", 5, "--rerank", stage).out)[0]
    assert [x["rank"] for x in found["items"]] == [1, 2, 3, 4, 5]
    scores = [x["score"] for x in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] not in [x["score"] for x in plain["items"]]
    assert {x["item"] for x in found["items"]} <= {x["item"] for x in plain["items"]}
    out = tmp_path / "lists.tsv"
    assert (
        cli("recall", made, "--all-users", "--rerank", stage, "--top", 5, "--output", out).code == 0
    )
    rows = [line.split("\t") for line in out.read_text().splitlines()[1:]]
    assert len(rows) == 60 * 5
    first = [row[2] for row in rows if row[0] == "customer-0001"]
    assert first == [x["item"] for x in found["items"]]
    history = ",".join(x["item"] for x in plain["items"][:3])
    said = cli("recall", made, "--history", history, "--rerank", stage, "--top", 3)
    assert said.code == 0
    assert "this history: 3 behaviours" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rerank", "STAGE", "--user", "customer-0001", "--top", "21"], "--top: expected at"),
        (["--rerank", "RUN", "--user", "customer-0001"], "a ranking stage, got a run that recalls"),
        (["--rerank", "nowhere", "--all-users"], "nowhere: expected a ranking stage, got no"),
        (
            ["--rerank", "STAGE", "--all-users", "--output", "x", "--shard", "1/2"],
            "--shard: expected lists in the order of recall, got --rerank",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_ranked_is_one_line(
    cli: Cli, made: Path, stage: Path, words: list[str], message: str
) -> None:
    places = {"RUN": made, "STAGE": stage}
    said = cli("recall", made, *[places.get(word, word) for word in words])
    assert (said.code, said.out) == (2, "")
    assert message in said.err


@pytest.mark.rules("din-R24")
def test_another_run_is_refused(cli: Cli, stage: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", backend="numpy")
    said = cli("recall", other, "--rerank", stage, "--history", "")
    assert said.code == 2
    assert "another model; train the ranking stage anew" in said.err


@pytest.mark.rules("din-R20", "din-R21")
def test_why_it_cannot_be_indexed_in_a_sentence_each(
    cli: Cli, made: Path, stage: Path, tmp_path: Path
) -> None:
    said = cli("evaluate", stage, "--indexable", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert list(found["by_rank"]) == ["4", "8", "16", "32"]
    said = cli("evaluate", stage, "--indexable")
    assert f"make a matrix of rank {found['rank']}" in said.out
    assert f"finds {found['by_rank']['8']['found']:.1%} of each user's 10 best items" in said.out
    assert f"mean cosine of {found['turning']:.3f}" in said.out
    assert f"its interests have rank {found['recall']['rank']}, and" in said.out
    moved = Path(shutil.copytree(made, tmp_path / "moved"))
    again = cli("evaluate", stage, "--indexable", "--recall", moved, "--json")
    assert json.loads(again.out) == found


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        ("STAGE", ["--at", "5"], "a ranking stage: expected --json or --indexable alone, got --at"),
        ("STAGE", ["--indexable", "--cases", "test"], "or --json alone, got --cases beside it"),
        ("RUN", ["--indexable"], "--indexable: expected a ranking stage, as --model din makes"),
        ("RUN", ["--recall", "x"], "--recall: expected a ranking stage, as --model din makes"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    cli: Cli, made: Path, stage: Path, run: str, words: list[str], message: str
) -> None:
    said = cli("evaluate", {"RUN": made, "STAGE": stage}[run], *words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_a_damaged_report_is_named(cli: Cli, stage: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stage, tmp_path / "din"))
    (run / "report.json").write_text("[1]")
    said = cli("evaluate", run)
    assert said.code == 2
    assert "report.json: expected a report of mindref, got other JSON" in said.err


def test_several_processes_are_refused(
    cli: Cli, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = cli(*training(made, tmp_path / "din"))
    assert said.code == 2
    assert "--model din: expected one process, got several; train it alone" in said.err


def test_the_help_tells_the_defaults_of_din(cli: Cli) -> None:
    text = " ".join(cli("train", "--help").out.split())
    assert "behaviours given to routing [1 to 10000; default 10] (din: 50)" in text
    assert "din: n, candidates that are recalled for a history [1 to 1000000; default 200]" in text
    assert "--depth" not in cli("compare", "--help").out
    assert "(din:" not in cli("compare", "--help").out


@pytest.mark.rules("security-R9")
def test_a_backend_of_ones_own_is_named_by_the_user_at_each_step(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage of a run whose backend nobody installed is trained, resumed, judged and used."""
    code = "from mindref.backend import NumpyBackend\n\n\nclass Own(NumpyBackend):\n    pass\n"
    (tmp_path / "own_backend.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name, out = "own_backend:Own", tmp_path / "din"
    made = trained(tmp_path / "run", backend=name)
    commands: list[list[str]] = [
        training(made, out),
        ["train", "--resume", str(out)],
        ["evaluate", str(out), "--indexable"],
    ]
    for words in commands:
        said = cli(*words)
        assert (said.code, said.out) == (2, "")
        assert f"expected a backend that is installed, got '{name}'" in said.err
        said = cli(*words, "--backend", "numpy")
        assert said.code == 2
        assert f"--backend: expected {name}, the backend of {made}, got numpy; leave" in said.err
        said = cli(*words, "--backend", name)
        assert said.code == 0, said.err
        if words[0] == "train":
            advised = shlex.split(said.out.splitlines()[-1].removeprefix("next: mindref "))
            assert cli(*advised).code == 0
