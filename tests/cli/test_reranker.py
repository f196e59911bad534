"""DIN on the command line: training, evaluation, reranking, indexability."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from mindref.cli import main
from mindref.training import loop
from tests.runs import lose_log, trained

SMALL = [
    "--width", "8", "--window", "5", "--attention-hidden", "4", "--hidden", "8", "--steps", "4",
    "--candidates", "20", "--recalled-negatives", "6", "--popular-negatives", "3", "--batch", "16",
]  # fmt: skip

SETTING = "din: expected a setting of din, got"
DIN_OF_RUN = "--model din --recall RUN"


def train_din_command(trained_run, out):
    return ["train", "--model", "din", "--recall", str(trained_run), "--out", str(out), *SMALL]


@pytest.fixture(scope="module")
def trained_run(trained_run, tmp_path_factory):
    """A run only for these tests, because recall writes an index into it."""
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("own") / "run"))


@pytest.fixture(scope="module")
def din_run(trained_run, tmp_path_factory):
    run = tmp_path_factory.mktemp("stages") / "din"
    with pytest.raises(SystemExit) as ended:
        main([*train_din_command(trained_run, run), "--quiet", "--json"])
    assert ended.value.code == 0
    return run


@pytest.fixture
def fill(trained_run, din_run):
    """Return a function that splits a command and replaces RUN and STAGE by the two runs."""
    folders = {"RUN": trained_run, "STAGE": din_run}
    return lambda text: [folders.get(word, word) for word in shlex.split(text)]


def test_training_prints_both_orders_and_the_next_command(cli, trained_run, tmp_path):
    result = cli.succeed(*train_din_command(trained_run, tmp_path / "din"))
    for word in ("20 candidates per case", "order of recall", "gain", "ndcg@10", "within"):
        assert word in result.out, word
    assert f"next: mindref recall {trained_run} --rerank {tmp_path / 'din'} --user=" in result.out
    assert "step 4/4  loss 0." in result.err
    arguments = result.out.splitlines()[-1].removeprefix("next: mindref ").split()
    assert cli(*arguments).code == 0


def test_json_and_the_stored_report(cli, trained_run, din_run, tmp_path):
    found = cli.json(
        *train_din_command(trained_run, tmp_path / "din"), "--product", "--init-items", "recall"
    )
    assert cli.json("evaluate", tmp_path / "din") == found
    settings = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    found_settings = (settings["product"], settings["init_items"], settings["hidden"])
    assert found_settings == (True, "recall", [8])
    again = cli("evaluate", tmp_path / "din")
    assert (again.code, again.err) == (0, "")
    for name in ("before", "after", "gain"):
        assert f"{found['within'][name]['gauc']['value']:.4f}" in again.out, name


@pytest.mark.rules("din-R22")
def test_default_settings_are_those_of_din(cli, trained_run, tmp_path):
    file = tmp_path / "settings.toml"
    settings = ("width = 8", "window = 7", "attention_hidden = [4]", "batch = 4", "steps = 2")
    file.write_text("\n".join(('model = "din"', *settings)))
    command = ["train", "--model", "din", "--recall", trained_run, "--out", tmp_path / "din"]
    cli.succeed(*command, "--quiet", "--config", file, "--steps", 1)
    found = json.loads((tmp_path / "din" / "config.json").read_text())["settings"]
    assert (found["steps"], found["width"], found["attention_hidden"]) == (1, 8, [4])
    assert (found["window"], found["hidden"], found["learning_rate"]) == (7, [64, 32], 0.001)


@pytest.mark.rules("din-R22")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model din", "--recall: expected a run whose candidates DIN reranks, got none"),
        ("--recall RUN", "--recall: expected --model din with it, got none"),
        ("--recall RUN --model maxmf", "expected --model din with it, got maxmf"),
        ("--attention-hidden 4", "--attention-hidden: expected --model din with it"),
        ("--no-product", "--product: expected --model din with it, got none"),
        ("--model din --recall nowhere", "nowhere: expected a run directory, got no"),
        ("--model din --recall STAGE", "expected a recall run, got a DIN run"),
        (f"{DIN_OF_RUN} --split paper", "settings of DIN, got --split; log"),
        (f"{DIN_OF_RUN} --include-seen", "settings of DIN, got --exclude-seen"),
        (f"{DIN_OF_RUN} --preset paper", "settings of DIN, got --preset"),
        (f"{DIN_OF_RUN} --format recbole", "settings of DIN, got --format"),
        (f"{DIN_OF_RUN} --recalled-negatives 300", "recalled_negatives: expected at most"),
        (f"{DIN_OF_RUN} --candidates 0", "candidates: expected 1 to 1000000"),
        (f"{DIN_OF_RUN} --init-items recall", "items: expected shape"),
        (f"{DIN_OF_RUN} --out STAGE", "no run there, got one; choose"),
        (f"{DIN_OF_RUN} --interests 4 --steps 1", f"{SETTING} interests"),
        (f"{DIN_OF_RUN} --sampler uniform --steps 1", f"{SETTING} sampler"),
        (f"{DIN_OF_RUN} --normalise --steps 1", f"{SETTING} normalise"),
        (f"{DIN_OF_RUN} --out /dev/null/x", "a writable location"),
    ],
)
def test_invalid_options_are_one_line_before_a_run_is_created(
    cli, fill, tmp_path, arguments, message
):
    out = [] if "--out" in arguments else ["--out", tmp_path / "din"]
    assert message in cli.error_line("train", *out, *fill(arguments))
    assert not (tmp_path / "din").exists()


def test_a_moved_log_can_be_given(cli, run, tmp_path):
    folder = lose_log(run)
    assert "nothing there" in cli(*train_din_command(run, tmp_path / "din")).err
    cli.succeed(*train_din_command(run, tmp_path / "din"), "--data", folder, "--quiet")
    assert cli("train", "--resume", tmp_path / "din", "--data", folder, "--quiet").code == 0


@pytest.mark.rules("din-R23")
def test_ctrl_c_saves_and_the_training_can_be_resumed(
    cli, trained_run, din_run, tmp_path, monkeypatch
):
    real_step, out = loop.count_step, tmp_path / "din"

    def interrupted(state, loss):
        if state.moments.step == 1:
            signal.raise_signal(signal.SIGINT)
        return real_step(state, loss)

    monkeypatch.setattr(loop, "count_step", interrupted)
    result = cli(*train_din_command(trained_run, out))
    assert (result.code, result.out) == (130, "")
    assert "Stopped at step 2 of 4; all is saved. Resume with: mindref train --resume" in result.err
    monkeypatch.undo()
    assert "it was stopped; mindref train --resume" in cli("evaluate", out).err
    assert cli("recall", trained_run, "--rerank", out, "--history", "").code == 2
    assert "--resume: expected no other settings, got --steps" in (
        cli("train", "--resume", out, "--steps", 4).err
    )
    assert cli("train", "--resume", out, "--quiet").code == 0
    for name in ("model.safetensors", "report.json", "config.json"):
        assert (out / name).read_bytes() == (din_run / name).read_bytes(), name


@pytest.mark.rules("din-R25")
def test_reranked_lists_have_the_order_of_din(cli, trained_run, din_run, tmp_path):
    arguments = ["recall", trained_run, "--user", "customer-0001", "--json"]
    plain = json.loads(cli(*arguments, "--top", 20).out)[0]
    found = json.loads(cli(*arguments, "--top", 5, "--rerank", din_run).out)[0]
    assert [x["rank"] for x in found["items"]] == [1, 2, 3, 4, 5]
    scores = [x["score"] for x in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] not in [x["score"] for x in plain["items"]]
    assert {x["item"] for x in found["items"]} <= {x["item"] for x in plain["items"]}
    out = tmp_path / "lists.tsv"
    bulk = ("recall", trained_run, "--all-users", "--rerank", din_run)
    assert cli(*bulk, "--top", 5, "--output", out).code == 0
    rows = [line.split("\t") for line in out.read_text().splitlines()[1:]]
    assert len(rows) == 60 * 5
    first = [row[2] for row in rows if row[0] == "customer-0001"]
    assert first == [x["item"] for x in found["items"]]


@pytest.mark.rules("din-R24")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("recall RUN --rerank STAGE --user customer-0001 --top 21", "--top: expected at"),
        ("recall RUN --rerank RUN --user customer-0001", "a DIN run, got a recall run"),
        ("recall RUN --rerank nowhere --all-users", "nowhere: expected a DIN run, got no"),
        (
            "recall RUN --rerank STAGE --all-users --output x --shard 1/2",
            "expected lists without rerank",
        ),
        ("recall OTHER --rerank STAGE --history ''", "another model; train the reranker anew"),
        ("evaluate STAGE --at 5", "a DIN run: expected only --json or --indexable, got --at"),
        ("evaluate STAGE --indexable --cases test", "or --json, got --cases"),
        ("evaluate RUN --indexable", "--indexable: expected a DIN run, made with --model din"),
        ("evaluate RUN --recall x", "--recall: expected a DIN run, made with --model din"),
    ],
)
def test_lists_that_cannot_be_reranked_and_options_without_effect_are_errors(
    cli, fill, tmp_path, command, message
):
    if "OTHER" in command:
        other = trained(tmp_path / "other", backend="numpy")
        command = command.replace("OTHER", shlex.quote(str(other)))
    assert message in cli.error(*fill(command))


@pytest.mark.rules("din-R20", "din-R21")
def test_indexable_explains_the_measurement(cli, trained_run, din_run, tmp_path):
    found = cli.json("evaluate", din_run, "--indexable")
    assert list(found["by_rank"]) == ["4", "8", "16", "32"]
    result = cli("evaluate", din_run, "--indexable")
    assert f"form a matrix of rank {found['rank']}" in result.out
    assert f"finds {found['by_rank']['8']['overlap']:.1%} of each user's top-10 items" in result.out
    assert f"mean cosine of {found['turning']:.3f}" in result.out
    assert f"interests have rank {found['recall']['rank']}. The nearest" in result.out
    moved = Path(shutil.copytree(trained_run, tmp_path / "moved"))
    again = cli("evaluate", din_run, "--indexable", "--recall", moved, "--json")
    assert json.loads(again.out) == found


def test_several_processes_are_rejected(cli, trained_run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--model din: expected one process, got several; run it without torchrun" in cli.error(
        *train_din_command(trained_run, tmp_path / "din")
    )


def test_the_help_shows_the_defaults_of_din(cli):
    text = " ".join(cli("train", "--help").out.split())
    assert "most recent items of a user [1 to 10000; default 10] (with --model din: 50)" in text
    depth = "din: n, number of candidates: for each history, DIN reranks the top n items of the"
    assert f"{depth} recall run [1 to 1000000; default 200]" in text
    assert "--candidates" not in cli("compare", "--help").out
    assert "din:" not in cli("compare", "--help").out


@pytest.mark.rules("security-R9")
def test_a_module_backend_must_be_named_in_every_command(cli, tmp_path, monkeypatch):
    """DIN for a run whose backend is not installed: trained, resumed, evaluated, used."""
    code = "from mindref.backend import NumpyBackend\n\n\nclass Own(NumpyBackend):\n    pass\n"
    (tmp_path / "own_backend.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name, out = "own_backend:Own", tmp_path / "din"
    trained_run = trained(tmp_path / "run", backend=name)
    commands = [
        train_din_command(trained_run, out),
        ["train", "--resume", str(out)],
        ["evaluate", str(out), "--indexable"],
    ]
    for arguments in commands:
        assert f"expected an installed backend, got '{name}'" in cli.error(*arguments)
        assert (
            f"--backend: expected {name}, the backend of {trained_run}, "
            "got numpy; remove the option" in cli.error(*arguments, "--backend", "numpy")
        )
        result = cli.succeed(*arguments, "--backend", name)
        if arguments[0] == "train":
            advised = shlex.split(result.out.splitlines()[-1].removeprefix("next: mindref "))
            assert cli(*advised).code == 0
